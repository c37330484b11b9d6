"""
The contract kit: a test for every numbered clause of every port.

Imports: its modules.

Subclass the class of your port, override its fixtures, and let pytest find
the subclass:

.. code-block:: python

    from autopay_core.testing.contracts import PaymentGatewayContract


    class TestOurGateway(PaymentGatewayContract):
        @pytest.fixture
        def gateway(self):
            return OurGateway(sandbox=True)

        @pytest.fixture
        def good_method(self):
            return PaymentMethodRef(provider="ours", token="tok_good")

        @pytest.fixture
        def declined_method(self):
            return PaymentMethodRef(provider="ours", token="tok_declined")

Some fixtures are optional: how to lose an answer, cut the port off, or look
into its books (`Taken`). Without them, and for what the port does not
declare, a test is skipped, and the report at the end of the session says
which sentence of the promise is then not proven.

Needs the extra ``testing``. For an event loop, subclass the ``Async…``
twins: they run the same tests.
"""

import pytest

# So that a failing clause shows what was compared.
pytest.register_assert_rewrite(
    f"{__name__}._base",
    f"{__name__}._books",
    f"{__name__}._gateways",
    f"{__name__}._interruptions",
    f"{__name__}._matters",
    f"{__name__}._model",
    f"{__name__}._payments",
    f"{__name__}._stores",
)

from autopay_core.testing.contracts._async import (  # noqa: E402 - see above
    AsyncMatterDataContract,
    AsyncNotifierContract,
    AsyncPaymentGatewayContract,
    AsyncPostingStoreContract,
    AsyncTwoStepGatewayContract,
)
from autopay_core.testing.contracts._base import (  # noqa: E402 - see above
    Clock,
)
from autopay_core.testing.contracts._books import (  # noqa: E402 - see above
    AsyncBookStoreContract,
    BookStoreContract,
)
from autopay_core.testing.contracts._gateways import (  # noqa: E402 - see above
    PaymentGatewayContract,
    TwoStepGatewayContract,
)
from autopay_core.testing.contracts._matters import (  # noqa: E402 - see above
    MatterDataContract,
    NotifierContract,
)
from autopay_core.testing.contracts._sandbox import (  # noqa: E402 - see above
    Taken,
)
from autopay_core.testing.contracts._stores import (  # noqa: E402 - see above
    PostingStoreContract,
)

__all__ = [
    "AsyncBookStoreContract",
    "AsyncMatterDataContract",
    "AsyncNotifierContract",
    "AsyncPaymentGatewayContract",
    "AsyncPostingStoreContract",
    "AsyncTwoStepGatewayContract",
    "BookStoreContract",
    "Clock",
    "MatterDataContract",
    "NotifierContract",
    "PaymentGatewayContract",
    "PostingStoreContract",
    "Taken",
    "TwoStepGatewayContract",
]
