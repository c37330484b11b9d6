"""Start the host: ``python examples/host [--folder DIR] [--port N]``."""

import argparse
from pathlib import Path

import uvicorn
from office.app import app_of
from office.firm import Firm

parser = argparse.ArgumentParser(prog="examples/host")
parser.add_argument("--folder", type=Path, default=Path("host-data"))
parser.add_argument("--port", type=int, default=8000)
given = parser.parse_args()
with Firm(given.folder) as firm:
    uvicorn.run(app_of(firm), host="127.0.0.1", port=given.port)
