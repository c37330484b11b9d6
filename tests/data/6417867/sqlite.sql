BEGIN TRANSACTION;
CREATE TABLE "autopay_attempts" (
    method TEXT NOT NULL,
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    counts INTEGER NOT NULL,
    PRIMARY KEY (method, autopay, nominal_on, number, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_attempts" VALUES('10bcf8ea87ec44120741fddf735b9931','ap-0','2026-03-31',0,1,1774965603000000,18000,'USD',0);
INSERT INTO "autopay_attempts" VALUES('91fff008fc362c893aadfde637220a91','ap-1','2026-03-31',0,1,1774965609000000,12000,'USD',0);
INSERT INTO "autopay_attempts" VALUES('aac662a902dd91d04301d28d686ecd8e','ap-2','2026-03-31',0,1,1774965615000000,15000,'USD',0);
CREATE TABLE autopay_chains (
    chain INTEGER NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL
, committed_at INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_chains" VALUES(0,1,'34d0ce1b32f20d9ac106ebe10681c35509789ceea9def40cab689d9669164b07',1774965603000000,0);
INSERT INTO "autopay_chains" VALUES(1,0,'6b0102f094a3510cff74b4624e14dce586047f2b0dfd1f451c92f21ab238b156',0,0);
INSERT INTO "autopay_chains" VALUES(2,0,'9ccb93c68916b3da4426e47086b49ae5a016fd9fb1bddfed22289ee776e578c6',0,0);
INSERT INTO "autopay_chains" VALUES(3,0,'c47498f4bf3488a809e96861bde00d55fd52fd01d94a4025d9b77b42c1a34a8e',0,0);
INSERT INTO "autopay_chains" VALUES(4,0,'26c51eeff47385f1124218bb71770f4322f35725629ab2bd7b2731a19c59d2ef',0,0);
INSERT INTO "autopay_chains" VALUES(5,5,'0d5594ac894d691e654b86c9ec2acb8ee84b98e296cc736ae88bdebb505a80b8',1774965629000001,1774965629000001);
INSERT INTO "autopay_chains" VALUES(6,1,'aacbba23f518eec866e2481c5aef753cbec6e10ac93c20e5a9fb811b6dc3d5a7',1774965608000001,1774965608000001);
INSERT INTO "autopay_chains" VALUES(7,0,'9d5d408f0bd9d31f477abce937a6ee5d0ddbe6356598a71761c18990421e7613',0,0);
INSERT INTO "autopay_chains" VALUES(8,1,'945e6d0998ecf5fcbdab38d131f282089dddad8670caa9e86fa550d870cb8182',1774965620000001,1774965620000001);
INSERT INTO "autopay_chains" VALUES(9,5,'3f3e00e0cd9d00231ce0766910c5e884d01c1a750cec6aec42e810b15e754166',1774965626000001,1774965626000001);
INSERT INTO "autopay_chains" VALUES(10,0,'79a6dda5685494089dd5f6d06c11d622a58255ef8d6f6d9a5f32a84a5e96b082',0,0);
INSERT INTO "autopay_chains" VALUES(11,0,'07b96d3e625c8da31abe63dce03f65a2feab66ba0bdc9760895184f39d407e18',0,0);
INSERT INTO "autopay_chains" VALUES(12,2,'06ccd8e9be246384057d354e2f3dd00bae82c5f9aa1f5bd719afefbc3748137f',1774965628000001,1774965628000001);
INSERT INTO "autopay_chains" VALUES(13,0,'3f9fa36a63a44dec2c939b643ab51355730b4ab7e114d65346642382fc8a76e5',0,0);
INSERT INTO "autopay_chains" VALUES(14,0,'98585eed1ab75c59c7f15ece5ffd0ee42fbcad56834dc870fdda0ac8797e0c37',0,0);
INSERT INTO "autopay_chains" VALUES(15,4,'c4dfa8d0d1df3846570feb4657cff90268b81399a2aacd9fd08e4923bf404a04',1774965627000001,1774965627000001);
CREATE TABLE autopay_claims (
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    PRIMARY KEY (autopay, nominal_on, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE autopay_clients (
    client TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_clients" VALUES('C-0',5);
INSERT INTO "autopay_clients" VALUES('C-1',4);
INSERT INTO "autopay_clients" VALUES('C-2',5);
CREATE TABLE autopay_distinct (
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    said_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE autopay_expected (
    invoice TEXT NOT NULL PRIMARY KEY,
    client TEXT NOT NULL,
    counted_at INTEGER,
    revision INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_expected" VALUES('INV-1','C-1',1774965609000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-1","client":"C-1","matter":"M-1","issued_on":"2026-03-01","figure":{"amount_minor":1000,"currency":"USD"},"balance":{"amount_minor":1000,"currency":"USD"},"counted_at":"2026-03-31T14:00:09.000000Z","fitted_at":"2026-03-31T14:00:09.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-2','C-2',1774965615000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-2","client":"C-2","matter":"M-2","issued_on":"2026-03-02","figure":{"amount_minor":2000,"currency":"USD"},"balance":{"amount_minor":2000,"currency":"USD"},"counted_at":"2026-03-31T14:00:15.000000Z","fitted_at":"2026-03-31T14:00:15.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-3','C-0',1774965603000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-3","client":"C-0","matter":"M-0","issued_on":"2026-03-03","figure":{"amount_minor":3000,"currency":"USD"},"balance":{"amount_minor":3000,"currency":"USD"},"counted_at":"2026-03-31T14:00:03.000000Z","fitted_at":"2026-03-31T14:00:03.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-4','C-1',1774965609000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-4","client":"C-1","matter":"M-1","issued_on":"2026-03-04","figure":{"amount_minor":4000,"currency":"USD"},"balance":{"amount_minor":4000,"currency":"USD"},"counted_at":"2026-03-31T14:00:09.000000Z","fitted_at":"2026-03-31T14:00:09.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-5','C-2',1774965615000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-5","client":"C-2","matter":"M-2","issued_on":"2026-03-05","figure":{"amount_minor":5000,"currency":"USD"},"balance":{"amount_minor":5000,"currency":"USD"},"counted_at":"2026-03-31T14:00:15.000000Z","fitted_at":"2026-03-31T14:00:15.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-6','C-0',1774965603000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-6","client":"C-0","matter":"M-0","issued_on":"2026-03-06","figure":{"amount_minor":6000,"currency":"USD"},"balance":{"amount_minor":6000,"currency":"USD"},"counted_at":"2026-03-31T14:00:03.000000Z","fitted_at":"2026-03-31T14:00:03.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-7','C-1',1774965609000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-7","client":"C-1","matter":"M-1","issued_on":"2026-03-07","figure":{"amount_minor":7000,"currency":"USD"},"balance":{"amount_minor":7000,"currency":"USD"},"counted_at":"2026-03-31T14:00:09.000000Z","fitted_at":"2026-03-31T14:00:09.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-8','C-2',1774965615000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-8","client":"C-2","matter":"M-2","issued_on":"2026-03-08","figure":{"amount_minor":8000,"currency":"USD"},"balance":{"amount_minor":8000,"currency":"USD"},"counted_at":"2026-03-31T14:00:15.000000Z","fitted_at":"2026-03-31T14:00:15.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
INSERT INTO "autopay_expected" VALUES('INV-9','C-0',1774965603000000,1,'{"schema":"expected","version":1,"data":{"invoice":"INV-9","client":"C-0","matter":"M-0","issued_on":"2026-03-09","figure":{"amount_minor":9000,"currency":"USD"},"balance":{"amount_minor":9000,"currency":"USD"},"counted_at":"2026-03-31T14:00:03.000000Z","fitted_at":"2026-03-31T14:00:03.000000Z","smallest":null,"gone_since":null,"replaces":""}}');
CREATE TABLE autopay_history (
    chain INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    transition TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_history" VALUES(0,1,1774965601000000,'c5ef89bbd1f4713eb78a6fe20a72563b','{"checkpoint":true,"rows":{"autopay_store":[["1","cdf38635710e224229d1405ddf8cb47f"]]},"counts":{}}','34d0ce1b32f20d9ac106ebe10681c35509789ceea9def40cab689d9669164b07');
INSERT INTO "autopay_history" VALUES(5,1,1774965617000001,'32c10011f75ca2d74328dc84da48e987','{"runs":[{"run":"ap-2/2026-03-31","version":1,"state":"open","reason":"","digest":"23ea493a3ee537baf10181f12797e841"}],"expected":[["INV-2","USD 20.00","USD 20.00",false],["INV-5","USD 50.00","USD 50.00",false],["INV-8","USD 80.00","USD 80.00",false]],"rows":{"autopay_runs":[["ap-2\u001f2026-03-31\u001f0","b6d02c4260887b110e916f706105cfa4"]],"autopay_reservations":[["ap-2\u001f2026-03-31\u001f0","0ea97790e175aa5bdfcdb1c686ad4c87"]],"autopay_attempts":[["aac662a902dd91d04301d28d686ecd8e\u001fap-2\u001f2026-03-31\u001f0\u001f1","c6032e902d7b8ffbcbbf27c72674a4e1"]],"autopay_keys":[["ap2D3VTO6SX6GEGL7UGCUFXBKN6FH4QWNPA","108003893d17c745f5038baf505f35e8"]],"autopay_expected":[["INV-2","ddf206d6bd5c96b06942c36634576604",1],["INV-5","0545bc007553d58645ce54814dfc680c",1],["INV-8","cd52ca664360d12e5b755d151c09cb57",1]]},"counts":{"autopay_clients":{"C-2":1}}}','649dd0426d20d9edec60e72bed1ebe409efa7d5c08205a7eaa56974de43f508b');
INSERT INTO "autopay_history" VALUES(5,2,1774965619000001,'882f549380501bf2c87ef6f594218afa','{"runs":[{"run":"ap-2/2026-03-31","version":2,"state":"paid","reason":"","digest":"18f4fc9b56d7ca43898a2a4eabd7078a"}],"postings":{"ids":["p-c6823ed766e0fbd1263d629ae7e37b80","p-c757188f4681dc74e66e12ca4e7f78f7","p-9f594969e57c79a14628397e3f80d4b4"],"digest":"730cb73c5a69dff16698f817434ffe18"},"notices":["n-02bf8e6a8475c5c1c21cd14dab0fde33"],"rows":{"autopay_runs":[["ap-2\u001f2026-03-31\u001f0","8c218e2e5788724bdc8ca135bde66987"]],"autopay_reservations":[["ap-2\u001f2026-03-31\u001f0",null]],"autopay_attempts":[["aac662a902dd91d04301d28d686ecd8e\u001fap-2\u001f2026-03-31\u001f0\u001f1","66284b342fba519ad8ff647f8fad2e95"]],"autopay_keys":[["ap2D3VTO6SX6GEGL7UGCUFXBKN6FH4QWNPA","108003893d17c745f5038baf505f35e8"]],"autopay_postings":[["p-c6823ed766e0fbd1263d629ae7e37b80","e6b75c176bfd359ffa14029135e0fbd0"],["p-c757188f4681dc74e66e12ca4e7f78f7","5718914184de6a7dbe59afb50b299b50"],["p-9f594969e57c79a14628397e3f80d4b4","fa3a1905c1441d9fbd25fe987968eca4"]],"autopay_notices":[["n-02bf8e6a8475c5c1c21cd14dab0fde33","2262df4836f1fe4af8dd03d925dd601d"]]},"counts":{"autopay_clients":{"C-2":1}}}','7a2822aec2b43f8c1846c339d6a83bd38cce97940a88132d3a1ce60f9da67aeb');
INSERT INTO "autopay_history" VALUES(5,3,1774965622000001,'cf3dc6153847e7fd6ac123c4932fd516','{"moves":[["p-9f594969e57c79a14628397e3f80d4b4","pending","queued"]],"rows":{"autopay_postings":[["p-9f594969e57c79a14628397e3f80d4b4","169bb98ffe1df4ca958b18b65fa42f64"]]},"counts":{"autopay_clients":{"C-2":1}},"by":"ann","reason":"evidence"}','921757437a44a9c880e24d89003790c79a4771527bd549aea065202c8dcd0129');
INSERT INTO "autopay_history" VALUES(5,4,1774965623000001,'ba4c8b18a990b755cb9af9000456924c','{"moves":[["p-9f594969e57c79a14628397e3f80d4b4","queued","posted"]],"rows":{"autopay_postings":[["p-9f594969e57c79a14628397e3f80d4b4","b14428e8f20391b1a1198a765463808b"]]},"counts":{"autopay_clients":{"C-2":1}},"by":"ann","reason":"evidence"}','70b82a2e3788af1b09d850c369432d6e0b919573bc5d2db363ca368678fa15fe');
INSERT INTO "autopay_history" VALUES(5,5,1774965629000001,'289636552b8bb8543aa16dd9de0962e4','{"moves":[["p-c757188f4681dc74e66e12ca4e7f78f7","pending","removed"]],"rows":{"autopay_postings":[["p-c757188f4681dc74e66e12ca4e7f78f7","79b61f5bc1d80ae43e7eb0e4b1e27767"]]},"counts":{"autopay_steps":{"930ff465b744533d4e206e80444c980a":1},"autopay_clients":{"C-2":1}},"by":"ann","reason":"evidence"}','0d5594ac894d691e654b86c9ec2acb8ee84b98e296cc736ae88bdebb505a80b8');
INSERT INTO "autopay_history" VALUES(6,1,1774965608000001,'3daaee691d17c25c293a0026ff0f0965','{"delivered":["n-e8bdfc2a978093ecf2a4c38dec331053"],"rows":{"delivered":[["n-e8bdfc2a978093ecf2a4c38dec331053","1"]]}}','aacbba23f518eec866e2481c5aef753cbec6e10ac93c20e5a9fb811b6dc3d5a7');
INSERT INTO "autopay_history" VALUES(8,1,1774965620000001,'004ba973434b1d8e15bbedc023d4b02f','{"delivered":["n-02bf8e6a8475c5c1c21cd14dab0fde33"],"rows":{"delivered":[["n-02bf8e6a8475c5c1c21cd14dab0fde33","1"]]}}','945e6d0998ecf5fcbdab38d131f282089dddad8670caa9e86fa550d870cb8182');
INSERT INTO "autopay_history" VALUES(9,1,1774965605000001,'9c705a9d45001a03a8955445b065fd84','{"runs":[{"run":"ap-0/2026-03-31","version":1,"state":"open","reason":"","digest":"f8d57cce1b6d475b57a5f68e2e24f685"}],"expected":[["INV-3","USD 30.00","USD 30.00",false],["INV-6","USD 60.00","USD 60.00",false],["INV-9","USD 90.00","USD 90.00",false]],"rows":{"autopay_runs":[["ap-0\u001f2026-03-31\u001f0","be9724827df86687bd99a77690f30d45"]],"autopay_reservations":[["ap-0\u001f2026-03-31\u001f0","5cb706c5201353af28de76e09f87000f"]],"autopay_attempts":[["10bcf8ea87ec44120741fddf735b9931\u001fap-0\u001f2026-03-31\u001f0\u001f1","fdb02a4b1e3f379aee8936608710da79"]],"autopay_keys":[["ap2P5ETUZYGUVUYXZR72QYJJJLF4O6425HN","b743f02c86715e45ebdc27f238f9ddce"]],"autopay_expected":[["INV-3","8bf8fdcd264286a587de9951b11fc4be",1],["INV-6","9c2330700afd3203d54027d8498ee4c3",1],["INV-9","8e3e02f97d50ef3ba82cdf824490d18b",1]]},"counts":{"autopay_clients":{"C-0":1}}}','52c70f5dd725530a3ece7c757ea410b1d06eb026bc723b3693e8ce1c4f1021d4');
INSERT INTO "autopay_history" VALUES(9,2,1774965607000001,'e08fad10cc7d422e285649ccd3371a92','{"runs":[{"run":"ap-0/2026-03-31","version":2,"state":"paid","reason":"","digest":"75fe371b75566f859bab0179c5987d21"}],"postings":{"ids":["p-dedc69f29f33eb3322e65afa389be1e9","p-7c7b5700cd45afd76adbb86dd0f96b09","p-4bc60c81a9a8a5553c85758218f3ffd1"],"digest":"b86a24c00106655a2f17e943db69f1ac"},"notices":["n-e8bdfc2a978093ecf2a4c38dec331053"],"rows":{"autopay_runs":[["ap-0\u001f2026-03-31\u001f0","39738a21472445adc262f7c87f1ebcd0"]],"autopay_reservations":[["ap-0\u001f2026-03-31\u001f0",null]],"autopay_attempts":[["10bcf8ea87ec44120741fddf735b9931\u001fap-0\u001f2026-03-31\u001f0\u001f1","de7602f5a290ac9381c80ec9810959ed"]],"autopay_keys":[["ap2P5ETUZYGUVUYXZR72QYJJJLF4O6425HN","b743f02c86715e45ebdc27f238f9ddce"]],"autopay_postings":[["p-dedc69f29f33eb3322e65afa389be1e9","d60f0118df8456371fbe9e568da29562"],["p-7c7b5700cd45afd76adbb86dd0f96b09","611f1a0f2310668dc13817d598e362cc"],["p-4bc60c81a9a8a5553c85758218f3ffd1","6ed4e7ead6bb81cc6cc51baf232bca7c"]],"autopay_notices":[["n-e8bdfc2a978093ecf2a4c38dec331053","a3022d2c17d94430799da2773400cb7d"]]},"counts":{"autopay_clients":{"C-0":1}}}','6267926c84039b0a617b092ad0c7eea9d2fcc94a01338b4005481540857951d8');
INSERT INTO "autopay_history" VALUES(9,3,1774965624000001,'a6b073b5a4d9324ddfe916eefc0cfd25','{"moves":[["p-4bc60c81a9a8a5553c85758218f3ffd1","pending","queued"]],"rows":{"autopay_postings":[["p-4bc60c81a9a8a5553c85758218f3ffd1","62ab3b6021bb52101245844c3672e086"]]},"counts":{"autopay_clients":{"C-0":1}},"by":"ann","reason":"evidence"}','fbad9864798a932d9911eecb918b7326fe029cfd50cba8d2b052678b44432fe5');
INSERT INTO "autopay_history" VALUES(9,4,1774965625000001,'d153e5893f802c9df3cf1c794c7b3dbe','{"moves":[["p-4bc60c81a9a8a5553c85758218f3ffd1","queued","posted"]],"rows":{"autopay_postings":[["p-4bc60c81a9a8a5553c85758218f3ffd1","b77ec0c9555dc941bb520da7b8acf273"]]},"counts":{"autopay_clients":{"C-0":1}},"by":"ann","reason":"evidence"}','9542313f5cc5a6052d2c8815ff90fd6e28532d272c7c989f3e09333581d799d5');
INSERT INTO "autopay_history" VALUES(9,5,1774965626000001,'c8f4bee2641ed5df657358a7290fb1ab','{"moves":[["p-4bc60c81a9a8a5553c85758218f3ffd1","posted","applied"]],"rows":{"autopay_postings":[["p-4bc60c81a9a8a5553c85758218f3ffd1","f834a99ad6c1e3fd1cdac1cddcf833ce"]]},"counts":{"autopay_steps":{"e7841cf7123a022b0260d138c15d54e0":1},"autopay_clients":{"C-0":1}},"by":"ann","reason":"evidence"}','3f3e00e0cd9d00231ce0766910c5e884d01c1a750cec6aec42e810b15e754166');
INSERT INTO "autopay_history" VALUES(12,1,1774965614000001,'579a6be2e2e62777397a75801070e734','{"delivered":["n-7c2588e50f4df5cf74ee75b6c3dcd9b2"],"rows":{"delivered":[["n-7c2588e50f4df5cf74ee75b6c3dcd9b2","1"]]}}','f3dffafe4926c3fa8720db7e0b33a5229fe05df8200638d8a7d9b49fb73ce993');
INSERT INTO "autopay_history" VALUES(12,2,1774965628000001,'bfa5ccd8471b599a4174a535b4e012c0','{"delivered":["n-fb1a339c380f5c967df1dcd2f416a526"],"rows":{"delivered":[["n-fb1a339c380f5c967df1dcd2f416a526","1"]]}}','06ccd8e9be246384057d354e2f3dd00bae82c5f9aa1f5bd719afefbc3748137f');
INSERT INTO "autopay_history" VALUES(15,1,1774965611000001,'20a6ac6f5f911eff01f70f2a4a9ae46b','{"runs":[{"run":"ap-1/2026-03-31","version":1,"state":"open","reason":"","digest":"4b68ed71c70346cc38b13bac9074df50"}],"expected":[["INV-1","USD 10.00","USD 10.00",false],["INV-4","USD 40.00","USD 40.00",false],["INV-7","USD 70.00","USD 70.00",false]],"rows":{"autopay_runs":[["ap-1\u001f2026-03-31\u001f0","bb639ef5ed0d08981cf650530759eea8"]],"autopay_reservations":[["ap-1\u001f2026-03-31\u001f0","843c832a74111503f84633df509870cb"]],"autopay_attempts":[["91fff008fc362c893aadfde637220a91\u001fap-1\u001f2026-03-31\u001f0\u001f1","1f761fc0650b82ad3546f484b94bb0c0"]],"autopay_keys":[["ap2DEMK3DJQNNUTGHYN552TV2IQYCP6QY4W","93611c104613c0eda9d5adc033b3e93d"]],"autopay_expected":[["INV-1","6a0f52f8e58341db33e4ae91ee7c5cda",1],["INV-4","0576ae9ce5ed0acb934061484aed0af3",1],["INV-7","1f4e165fb523863642049d7e2e27d75f",1]]},"counts":{"autopay_clients":{"C-1":1}}}','a96e855e772552933a31290e69accc9bdf8b8bf4a264b99400a5a4c8c67a60c3');
INSERT INTO "autopay_history" VALUES(15,2,1774965613000001,'238f83add9b97d0e628d7729496df582','{"runs":[{"run":"ap-1/2026-03-31","version":2,"state":"paid","reason":"","digest":"90a1a29d40c6f945347402f636c485fb"}],"postings":{"ids":["p-5082b79f2cbf11d14d0a44a5771572c6","p-f93499e75af75073dec94b2d710d6938","p-6e71b8363c3abf4f8460863b7ee956b1"],"digest":"3d387fd6eea39d128fe564734cf361f6"},"notices":["n-7c2588e50f4df5cf74ee75b6c3dcd9b2"],"rows":{"autopay_runs":[["ap-1\u001f2026-03-31\u001f0","1c63331e82275b4a668715b15643dc12"]],"autopay_reservations":[["ap-1\u001f2026-03-31\u001f0",null]],"autopay_attempts":[["91fff008fc362c893aadfde637220a91\u001fap-1\u001f2026-03-31\u001f0\u001f1","b8b499074f679d7f112bf96cf9cf3550"]],"autopay_keys":[["ap2DEMK3DJQNNUTGHYN552TV2IQYCP6QY4W","93611c104613c0eda9d5adc033b3e93d"]],"autopay_postings":[["p-5082b79f2cbf11d14d0a44a5771572c6","9816ec32e64213e95912ee5eca25c7ad"],["p-f93499e75af75073dec94b2d710d6938","9c336caa0b739f105a54778c09c62395"],["p-6e71b8363c3abf4f8460863b7ee956b1","6d539c975026e4a1dc372007efa5c56a"]],"autopay_notices":[["n-7c2588e50f4df5cf74ee75b6c3dcd9b2","0e1fe7e3e7e3256525d8b7b997158ccc"]]},"counts":{"autopay_clients":{"C-1":1}}}','c3877c9d41cf7ce053c3c619d802fcc990f1df9dccce9d2cac6d67eade09fb24');
INSERT INTO "autopay_history" VALUES(15,3,1774965621000001,'e9fc083aa19e0bfe1d8069731411c01d','{"moves":[["p-6e71b8363c3abf4f8460863b7ee956b1","pending","queued"]],"rows":{"autopay_postings":[["p-6e71b8363c3abf4f8460863b7ee956b1","c88a6ccdcb812b4a450bfc9d0073d4de"]]},"counts":{"autopay_clients":{"C-1":1}},"by":"ann","reason":"evidence"}','3f3d2eacb96a4a7a2ca0ad6a821b849bf29ad8b33fc17a7e1622255564fd3e69');
INSERT INTO "autopay_history" VALUES(15,4,1774965627000001,'350aeb1eedee247d7f2818aa3f8060c8','{"moves":[["p-f93499e75af75073dec94b2d710d6938","pending","incomplete"]],"notices":["n-fb1a339c380f5c967df1dcd2f416a526"],"rows":{"autopay_postings":[["p-f93499e75af75073dec94b2d710d6938","8d25af6dc5aafe34cff27e274a29cf7b"]],"autopay_notices":[["n-fb1a339c380f5c967df1dcd2f416a526","f8687cf3c0d497f32705c4a9e4e20e06"]]},"counts":{"autopay_clients":{"C-1":1}},"by":"ann","reason":"evidence"}','c4dfa8d0d1df3846570feb4657cff90268b81399a2aacd9fd08e4923bf404a04');
CREATE TABLE autopay_holds (
    id TEXT NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    client TEXT,
    active INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE autopay_incidents (
    cause TEXT NOT NULL,
    day TEXT NOT NULL,
    port TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    over_at INTEGER,
    revision INTEGER NOT NULL,
    PRIMARY KEY (cause, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE autopay_keys (
    key TEXT NOT NULL PRIMARY KEY,
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_keys" VALUES('ap2D3VTO6SX6GEGL7UGCUFXBKN6FH4QWNPA','ap-2','2026-03-31',0);
INSERT INTO "autopay_keys" VALUES('ap2DEMK3DJQNNUTGHYN552TV2IQYCP6QY4W','ap-1','2026-03-31',0);
INSERT INTO "autopay_keys" VALUES('ap2P5ETUZYGUVUYXZR72QYJJJLF4O6425HN','ap-0','2026-03-31',0);
CREATE TABLE autopay_movements (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    run TEXT NOT NULL,
    data TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE autopay_notices (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    is_delivered INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
INSERT INTO "autopay_notices" VALUES(1,'n-e8bdfc2a978093ecf2a4c38dec331053',1,'{"schema":"notice","version":1,"data":{"key":"n-e8bdfc2a978093ecf2a4c38dec331053","kind":"paid","payer":"p-0","autopay":"ap-0","on":"2026-03-31","name":"Evidence","amount":{"amount_minor":18000,"currency":"USD"},"reason":"Paid","detail":"3 invoices were paid.","run":{"autopay":"ap-0","nominal_on":"2026-03-31","number":0},"lines":[{"invoice":"INV-3","amount":{"amount_minor":3000,"currency":"USD"}},{"invoice":"INV-6","amount":{"amount_minor":6000,"currency":"USD"}},{"invoice":"INV-9","amount":{"amount_minor":9000,"currency":"USD"}}],"reference":"pay-000001","method":"card \u2026aa90","left":{"amount_minor":0,"currency":"USD"},"next_on":null,"link":""}}');
INSERT INTO "autopay_notices" VALUES(2,'n-7c2588e50f4df5cf74ee75b6c3dcd9b2',1,'{"schema":"notice","version":1,"data":{"key":"n-7c2588e50f4df5cf74ee75b6c3dcd9b2","kind":"paid","payer":"p-1","autopay":"ap-1","on":"2026-03-31","name":"Evidence","amount":{"amount_minor":12000,"currency":"USD"},"reason":"Paid","detail":"3 invoices were paid.","run":{"autopay":"ap-1","nominal_on":"2026-03-31","number":0},"lines":[{"invoice":"INV-1","amount":{"amount_minor":1000,"currency":"USD"}},{"invoice":"INV-4","amount":{"amount_minor":4000,"currency":"USD"}},{"invoice":"INV-7","amount":{"amount_minor":7000,"currency":"USD"}}],"reference":"pay-000002","method":"card \u2026aa91","left":{"amount_minor":0,"currency":"USD"},"next_on":null,"link":""}}');
INSERT INTO "autopay_notices" VALUES(3,'n-02bf8e6a8475c5c1c21cd14dab0fde33',1,'{"schema":"notice","version":1,"data":{"key":"n-02bf8e6a8475c5c1c21cd14dab0fde33","kind":"paid","payer":"p-2","autopay":"ap-2","on":"2026-03-31","name":"Evidence","amount":{"amount_minor":15000,"currency":"USD"},"reason":"Paid","detail":"3 invoices were paid.","run":{"autopay":"ap-2","nominal_on":"2026-03-31","number":0},"lines":[{"invoice":"INV-2","amount":{"amount_minor":2000,"currency":"USD"}},{"invoice":"INV-5","amount":{"amount_minor":5000,"currency":"USD"}},{"invoice":"INV-8","amount":{"amount_minor":8000,"currency":"USD"}}],"reference":"pay-000003","method":"card \u2026aa92","left":{"amount_minor":0,"currency":"USD"},"next_on":null,"link":""}}');
INSERT INTO "autopay_notices" VALUES(4,'n-fb1a339c380f5c967df1dcd2f416a526',1,'{"schema":"notice","version":1,"data":{"key":"n-fb1a339c380f5c967df1dcd2f416a526","kind":"posting_incomplete","payer":"p-1","autopay":"ap-1","on":"2026-03-31","name":"","amount":{"amount_minor":4000,"currency":"USD"},"reason":"PostingIncomplete","detail":"Invoice INV-4: evidence","run":{"autopay":"ap-1","nominal_on":"2026-03-31","number":0},"lines":[],"reference":"","method":"","left":null,"next_on":null,"link":""}}');
CREATE TABLE autopay_postings (
    id TEXT NOT NULL PRIMARY KEY,
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    payer TEXT NOT NULL,
    client TEXT NOT NULL,
    matter TEXT NOT NULL,
    invoice TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor <> 0),
    currency TEXT NOT NULL,
    charged_on TEXT NOT NULL,
    payment_reference TEXT NOT NULL,
    account TEXT NOT NULL,
    account_kind TEXT NOT NULL,
    ar_message TEXT NOT NULL,
    reverses TEXT,
    status TEXT NOT NULL,
    note TEXT NOT NULL,
    is_open INTEGER NOT NULL
, number INTEGER NOT NULL DEFAULT 0, moved_at INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "autopay_postings" VALUES('p-dedc69f29f33eb3322e65afa389be1e9','ap-0','2026-03-31','p-0','C-0','M-0','INV-9',9000,'USD','2026-03-31','pay-000001','operating','operating','',NULL,'pending','',1,0,1774965607000001);
INSERT INTO "autopay_postings" VALUES('p-7c7b5700cd45afd76adbb86dd0f96b09','ap-0','2026-03-31','p-0','C-0','M-0','INV-6',6000,'USD','2026-03-31','pay-000001','operating','operating','',NULL,'pending','',1,0,1774965607000001);
INSERT INTO "autopay_postings" VALUES('p-4bc60c81a9a8a5553c85758218f3ffd1','ap-0','2026-03-31','p-0','C-0','M-0','INV-3',3000,'USD','2026-03-31','pay-000001','operating','operating','',NULL,'applied','evidence',0,0,1774965626000001);
INSERT INTO "autopay_postings" VALUES('p-5082b79f2cbf11d14d0a44a5771572c6','ap-1','2026-03-31','p-1','C-1','M-1','INV-7',7000,'USD','2026-03-31','pay-000002','operating','operating','',NULL,'pending','',1,0,1774965613000001);
INSERT INTO "autopay_postings" VALUES('p-f93499e75af75073dec94b2d710d6938','ap-1','2026-03-31','p-1','C-1','M-1','INV-4',4000,'USD','2026-03-31','pay-000002','operating','operating','',NULL,'incomplete','evidence',1,0,1774965627000001);
INSERT INTO "autopay_postings" VALUES('p-6e71b8363c3abf4f8460863b7ee956b1','ap-1','2026-03-31','p-1','C-1','M-1','INV-1',1000,'USD','2026-03-31','pay-000002','operating','operating','',NULL,'queued','evidence',1,0,1774965621000001);
INSERT INTO "autopay_postings" VALUES('p-c6823ed766e0fbd1263d629ae7e37b80','ap-2','2026-03-31','p-2','C-2','M-2','INV-8',8000,'USD','2026-03-31','pay-000003','operating','operating','',NULL,'pending','',1,0,1774965619000001);
INSERT INTO "autopay_postings" VALUES('p-c757188f4681dc74e66e12ca4e7f78f7','ap-2','2026-03-31','p-2','C-2','M-2','INV-5',5000,'USD','2026-03-31','pay-000003','operating','operating','',NULL,'removed','evidence',0,0,1774965629000001);
INSERT INTO "autopay_postings" VALUES('p-9f594969e57c79a14628397e3f80d4b4','ap-2','2026-03-31','p-2','C-2','M-2','INV-2',2000,'USD','2026-03-31','pay-000003','operating','operating','',NULL,'posted','evidence',1,0,1774965623000001);
CREATE TABLE "autopay_reservations" (
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    invoice TEXT NOT NULL,
    client TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor > 0),
    PRIMARY KEY (autopay, nominal_on, number, invoice)
) STRICT, WITHOUT ROWID;
CREATE TABLE "autopay_runs" (
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    state TEXT NOT NULL,
    charge_on TEXT NOT NULL,
    next_try_at INTEGER,
    taken_minor INTEGER,
    taken_currency TEXT,
    alone INTEGER,
    data TEXT NOT NULL, reference TEXT, account TEXT, token TEXT,
    PRIMARY KEY (autopay, nominal_on, number)
) STRICT;
INSERT INTO "autopay_runs" VALUES('ap-0','2026-03-31',0,2,'paid','2026-03-31',NULL,18000,'USD',NULL,'{"schema":"run_record","version":1,"data":{"key":{"autopay":"ap-0","nominal_on":"2026-03-31","number":0},"payer":"p-0","version":2,"state":"paid","charge_on":"2026-03-31","attempts":[{"number":1,"key":"ap2P5ETUZYGUVUYXZR72QYJJJLF4O6425HN","amount":{"amount_minor":18000,"currency":"USD"},"method":"10bcf8ea87ec44120741fddf735b9931","began_at":"2026-03-31T14:00:03.000000Z","deadline":"2026-03-31T14:10:03.000000Z","request_hash":"76f62e11b9022d1340508602bf175aa427c8938be5946c9a37b0c6e2f4d0e8c2","two_step":false,"tries":1,"reference":null,"outcome":{"type":"captured","key":"ap2P5ETUZYGUVUYXZR72QYJJJLF4O6425HN","amount":{"amount_minor":18000,"currency":"USD"},"reference":"pay-000001","account":"","request":"76f62e11b9022d1340508602bf175aa427c8938be5946c9a37b0c6e2f4d0e8c2"},"account":"","epoch":0,"missing_since":null,"erred":false}],"intent":{"allocation":{"lines":[{"invoice":{"number":"INV-3","client":"C-0","matter":"M-0","issued_on":"2026-03-03","balance":{"amount_minor":3000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":3000,"currency":"USD"},"amount":{"amount_minor":3000,"currency":"USD"},"reason":"paid","ceiling":null},{"invoice":{"number":"INV-6","client":"C-0","matter":"M-0","issued_on":"2026-03-06","balance":{"amount_minor":6000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":6000,"currency":"USD"},"amount":{"amount_minor":6000,"currency":"USD"},"reason":"paid","ceiling":null},{"invoice":{"number":"INV-9","client":"C-0","matter":"M-0","issued_on":"2026-03-09","balance":{"amount_minor":9000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":9000,"currency":"USD"},"amount":{"amount_minor":9000,"currency":"USD"},"reason":"paid","ceiling":null}],"total":{"amount_minor":18000,"currency":"USD"},"limit":{"currency":"USD","per_run":null,"per_invoice":null,"per_month":null,"lifetime":null,"whole_invoices":false,"minimum":null},"order":"issued","available":null,"bound_by":null,"left_out":[]},"request":{"key":"ap2P5ETUZYGUVUYXZR72QYJJJLF4O6425HN","method":{"provider":"acme","token":"\u2026aa90","kind":"card","network":"","consumer":false,"expires_on":null,"known_as":"10bcf8ea87ec44120741fddf735b9931"},"amount":{"amount_minor":18000,"currency":"USD"},"deposit_account":{"id":"operating","kind":"operating"},"description":"Evidence","not_after":"2026-03-31T14:10:03.000000Z","run":{"autopay":"ap-0","nominal_on":"2026-03-31","number":0},"payer":"p-0","lines":[{"invoice":"INV-3","amount":{"amount_minor":3000,"currency":"USD"}},{"invoice":"INV-6","amount":{"amount_minor":6000,"currency":"USD"}},{"invoice":"INV-9","amount":{"amount_minor":9000,"currency":"USD"}}],"number":1,"authorization":""},"ar_message":"","name":"Evidence","retry":null,"plans":[],"calendar":null,"next_on":null},"plan":null,"reason":"","detail":"","next_try_at":null,"reversals":[],"announced":null,"next_try_on":null,"late_since":null,"notes":[],"demanded_by":"","decision":{"rule":1,"on":"2026-03-31","account":"operating","open_amounts":{},"spent":null,"minimum":{"amount_minor":1,"currency":"USD"},"ceilings":null,"barred":{},"distinct":[],"stated_at":null,"enrolled":[{"payer":"p-0","client":"C-0","matter":null,"invoice":null}],"roll":"none"},"review_since":null}}','pay-000001','',NULL);
INSERT INTO "autopay_runs" VALUES('ap-1','2026-03-31',0,2,'paid','2026-03-31',NULL,12000,'USD',NULL,'{"schema":"run_record","version":1,"data":{"key":{"autopay":"ap-1","nominal_on":"2026-03-31","number":0},"payer":"p-1","version":2,"state":"paid","charge_on":"2026-03-31","attempts":[{"number":1,"key":"ap2DEMK3DJQNNUTGHYN552TV2IQYCP6QY4W","amount":{"amount_minor":12000,"currency":"USD"},"method":"91fff008fc362c893aadfde637220a91","began_at":"2026-03-31T14:00:09.000000Z","deadline":"2026-03-31T14:10:09.000000Z","request_hash":"52a3858392f4a1419fadd56682f46f013fd4229a2c11efe7411b352aac3acf32","two_step":false,"tries":1,"reference":null,"outcome":{"type":"captured","key":"ap2DEMK3DJQNNUTGHYN552TV2IQYCP6QY4W","amount":{"amount_minor":12000,"currency":"USD"},"reference":"pay-000002","account":"","request":"52a3858392f4a1419fadd56682f46f013fd4229a2c11efe7411b352aac3acf32"},"account":"","epoch":0,"missing_since":null,"erred":false}],"intent":{"allocation":{"lines":[{"invoice":{"number":"INV-1","client":"C-1","matter":"M-1","issued_on":"2026-03-01","balance":{"amount_minor":1000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":1000,"currency":"USD"},"amount":{"amount_minor":1000,"currency":"USD"},"reason":"paid","ceiling":null},{"invoice":{"number":"INV-4","client":"C-1","matter":"M-1","issued_on":"2026-03-04","balance":{"amount_minor":4000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":4000,"currency":"USD"},"amount":{"amount_minor":4000,"currency":"USD"},"reason":"paid","ceiling":null},{"invoice":{"number":"INV-7","client":"C-1","matter":"M-1","issued_on":"2026-03-07","balance":{"amount_minor":7000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":7000,"currency":"USD"},"amount":{"amount_minor":7000,"currency":"USD"},"reason":"paid","ceiling":null}],"total":{"amount_minor":12000,"currency":"USD"},"limit":{"currency":"USD","per_run":null,"per_invoice":null,"per_month":null,"lifetime":null,"whole_invoices":false,"minimum":null},"order":"issued","available":null,"bound_by":null,"left_out":[]},"request":{"key":"ap2DEMK3DJQNNUTGHYN552TV2IQYCP6QY4W","method":{"provider":"acme","token":"\u2026aa91","kind":"card","network":"","consumer":false,"expires_on":null,"known_as":"91fff008fc362c893aadfde637220a91"},"amount":{"amount_minor":12000,"currency":"USD"},"deposit_account":{"id":"operating","kind":"operating"},"description":"Evidence","not_after":"2026-03-31T14:10:09.000000Z","run":{"autopay":"ap-1","nominal_on":"2026-03-31","number":0},"payer":"p-1","lines":[{"invoice":"INV-1","amount":{"amount_minor":1000,"currency":"USD"}},{"invoice":"INV-4","amount":{"amount_minor":4000,"currency":"USD"}},{"invoice":"INV-7","amount":{"amount_minor":7000,"currency":"USD"}}],"number":1,"authorization":""},"ar_message":"","name":"Evidence","retry":null,"plans":[],"calendar":null,"next_on":null},"plan":null,"reason":"","detail":"","next_try_at":null,"reversals":[],"announced":null,"next_try_on":null,"late_since":null,"notes":[],"demanded_by":"","decision":{"rule":1,"on":"2026-03-31","account":"operating","open_amounts":{},"spent":null,"minimum":{"amount_minor":1,"currency":"USD"},"ceilings":null,"barred":{},"distinct":[],"stated_at":null,"enrolled":[{"payer":"p-1","client":"C-1","matter":null,"invoice":null}],"roll":"none"},"review_since":null}}','pay-000002','',NULL);
INSERT INTO "autopay_runs" VALUES('ap-2','2026-03-31',0,2,'paid','2026-03-31',NULL,15000,'USD',NULL,'{"schema":"run_record","version":1,"data":{"key":{"autopay":"ap-2","nominal_on":"2026-03-31","number":0},"payer":"p-2","version":2,"state":"paid","charge_on":"2026-03-31","attempts":[{"number":1,"key":"ap2D3VTO6SX6GEGL7UGCUFXBKN6FH4QWNPA","amount":{"amount_minor":15000,"currency":"USD"},"method":"aac662a902dd91d04301d28d686ecd8e","began_at":"2026-03-31T14:00:15.000000Z","deadline":"2026-03-31T14:10:15.000000Z","request_hash":"f67107d7397d30930f24a6c4648fe2f59014e2ceeff274d5b1df5bf725768ef1","two_step":false,"tries":1,"reference":null,"outcome":{"type":"captured","key":"ap2D3VTO6SX6GEGL7UGCUFXBKN6FH4QWNPA","amount":{"amount_minor":15000,"currency":"USD"},"reference":"pay-000003","account":"","request":"f67107d7397d30930f24a6c4648fe2f59014e2ceeff274d5b1df5bf725768ef1"},"account":"","epoch":0,"missing_since":null,"erred":false}],"intent":{"allocation":{"lines":[{"invoice":{"number":"INV-2","client":"C-2","matter":"M-2","issued_on":"2026-03-02","balance":{"amount_minor":2000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":2000,"currency":"USD"},"amount":{"amount_minor":2000,"currency":"USD"},"reason":"paid","ceiling":null},{"invoice":{"number":"INV-5","client":"C-2","matter":"M-2","issued_on":"2026-03-05","balance":{"amount_minor":5000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":5000,"currency":"USD"},"amount":{"amount_minor":5000,"currency":"USD"},"reason":"paid","ceiling":null},{"invoice":{"number":"INV-8","client":"C-2","matter":"M-2","issued_on":"2026-03-08","balance":{"amount_minor":8000,"currency":"USD"},"due_on":null,"total":null,"status":"open","account":"operating","matters":[]},"open":{"amount_minor":0,"currency":"USD"},"payable":{"amount_minor":8000,"currency":"USD"},"amount":{"amount_minor":8000,"currency":"USD"},"reason":"paid","ceiling":null}],"total":{"amount_minor":15000,"currency":"USD"},"limit":{"currency":"USD","per_run":null,"per_invoice":null,"per_month":null,"lifetime":null,"whole_invoices":false,"minimum":null},"order":"issued","available":null,"bound_by":null,"left_out":[]},"request":{"key":"ap2D3VTO6SX6GEGL7UGCUFXBKN6FH4QWNPA","method":{"provider":"acme","token":"\u2026aa92","kind":"card","network":"","consumer":false,"expires_on":null,"known_as":"aac662a902dd91d04301d28d686ecd8e"},"amount":{"amount_minor":15000,"currency":"USD"},"deposit_account":{"id":"operating","kind":"operating"},"description":"Evidence","not_after":"2026-03-31T14:10:15.000000Z","run":{"autopay":"ap-2","nominal_on":"2026-03-31","number":0},"payer":"p-2","lines":[{"invoice":"INV-2","amount":{"amount_minor":2000,"currency":"USD"}},{"invoice":"INV-5","amount":{"amount_minor":5000,"currency":"USD"}},{"invoice":"INV-8","amount":{"amount_minor":8000,"currency":"USD"}}],"number":1,"authorization":""},"ar_message":"","name":"Evidence","retry":null,"plans":[],"calendar":null,"next_on":null},"plan":null,"reason":"","detail":"","next_try_at":null,"reversals":[],"announced":null,"next_try_on":null,"late_since":null,"notes":[],"demanded_by":"","decision":{"rule":1,"on":"2026-03-31","account":"operating","open_amounts":{},"spent":null,"minimum":{"amount_minor":1,"currency":"USD"},"ceilings":null,"barred":{},"distinct":[],"stated_at":null,"enrolled":[{"payer":"p-2","client":"C-2","matter":null,"invoice":null}],"roll":"none"},"review_since":null}}','pay-000003','',NULL);
CREATE TABLE autopay_schema (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_schema" VALUES(1,'tables');
INSERT INTO "autopay_schema" VALUES(2,'indexes');
INSERT INTO "autopay_schema" VALUES(3,'second edition');
INSERT INTO "autopay_schema" VALUES(4,'sent');
CREATE TABLE autopay_steps (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    client TEXT NOT NULL,
    invoice TEXT NOT NULL,
    posting TEXT NOT NULL,
    kind TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
INSERT INTO "autopay_steps" VALUES(1,'C-0','INV-3','p-4bc60c81a9a8a5553c85758218f3ffd1','applied','USD',3000,1774965626000001);
INSERT INTO "autopay_steps" VALUES(2,'C-2','INV-5','p-c757188f4681dc74e66e12ca4e7f78f7','removed','USD',5000,1774965629000001);
CREATE TABLE autopay_store (
    place INTEGER NOT NULL PRIMARY KEY CHECK (place = 1),
    id TEXT NOT NULL,
    salt TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    holds_version INTEGER NOT NULL,
    trusted INTEGER NOT NULL,
    restored_since INTEGER,
    restored_stores TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "autopay_store" VALUES(1,'785d4597f190aebf7e3ef0117eb994fe','09c2cbeceb78647789c9e8ccaba3d210',0,0,0,NULL,'[]');
CREATE TABLE autopay_told (
    autopay TEXT NOT NULL,
    topic TEXT NOT NULL,
    said TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (autopay, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX autopay_postings_invoice
    ON autopay_postings (invoice);
CREATE INDEX autopay_postings_client
    ON autopay_postings (client, is_open);
CREATE INDEX autopay_postings_status
    ON autopay_postings (status, id) WHERE status <> 'applied';
CREATE INDEX autopay_notices_undelivered
    ON autopay_notices (place) WHERE is_delivered = 0;
CREATE UNIQUE INDEX autopay_runs_alone
    ON autopay_runs (autopay) WHERE alone = 1;
CREATE INDEX autopay_reservations_invoice
    ON autopay_reservations (invoice);
CREATE INDEX autopay_reservations_client
    ON autopay_reservations (client);
CREATE INDEX autopay_runs_unfinished
    ON autopay_runs (autopay, nominal_on, number) WHERE state IN ('announced', 'open', 'pending', 'review', 'waiting');
CREATE INDEX autopay_runs_reference
    ON autopay_runs (reference, autopay, nominal_on, number)
    WHERE reference IS NOT NULL;
CREATE INDEX autopay_attempts_method
    ON autopay_attempts (method, at) WHERE counts = 1;
CREATE INDEX autopay_postings_run
    ON autopay_postings (autopay, nominal_on, number);
CREATE INDEX autopay_postings_payer ON autopay_postings (payer);
CREATE INDEX autopay_postings_payment
    ON autopay_postings (payment_reference);
CREATE INDEX autopay_postings_charged ON autopay_postings (charged_on);
CREATE INDEX autopay_postings_unsettled
    ON autopay_postings (client) WHERE reverses IS NOT NULL AND status NOT IN ('applied', 'removed');
CREATE INDEX autopay_holds_target
    ON autopay_holds (target) WHERE active = 1;
CREATE INDEX autopay_holds_client
    ON autopay_holds (client) WHERE active = 1;
CREATE INDEX autopay_holds_active
    ON autopay_holds (id) WHERE active = 1;
CREATE INDEX autopay_steps_client ON autopay_steps (client, at);
CREATE INDEX autopay_expected_client
    ON autopay_expected (client, counted_at);
CREATE INDEX autopay_incidents_going_on
    ON autopay_incidents (cause, day) WHERE over_at IS NULL;
CREATE INDEX autopay_movements_state
    ON autopay_movements (state, id) WHERE state <> 'placed';
CREATE INDEX autopay_attempts_at
    ON autopay_attempts (at, autopay, nominal_on, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('autopay_notices',4);
INSERT INTO "sqlite_sequence" VALUES('autopay_steps',2);
COMMIT;
