"""Starts the studio: python app_gradio.py [--workspace DIR] [--host HOST] [--port N] [--auth USER:PASSWORD]"""

from __future__ import annotations

import argparse
import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main() -> int:
    from clips.library import new_workspace_folder

    parser = argparse.ArgumentParser(prog="app_gradio.py", description="Start the Seamline studio.")
    parser.add_argument(
        "--workspace",
        type=new_workspace_folder,
        default="",
        help="where renders and your own clips are; made if missing",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--runtime", default="auto", help="what runs the network: auto, torch or openvino")
    parser.add_argument(
        "--auth",
        metavar="USER:PASSWORD",
        help="ask for this name and password; or a file with one such line per person",
    )
    args = parser.parse_args()

    import socket

    import uvicorn

    from clips.errors import ClipError
    from models.errors import ModelError
    from models.runtime import pick_runtime
    from studio.cache import use_own_upload_folder

    workspace = args.workspace.resolve()
    workspace.mkdir(parents=True, exist_ok=True)
    use_own_upload_folder(workspace)  # before Gradio looks for it
    from studio.access import hosts_of, read_accounts
    from studio.memory import keep_few_heaps
    from studio.server import build_app

    keep_few_heaps()
    try:
        accounts = read_accounts(args.auth) if args.auth is not None else None
        pick_runtime(args.runtime, args.device)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((args.host, args.port))
        hosts = hosts_of(args.host)
        app = build_app(workspace, device=args.device, runtime=args.runtime, accounts=accounts, hosts=hosts, warm=True)
    except (ClipError, ModelError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except (OSError, OverflowError) as e:
        print(
            f"error: cannot listen on {args.host}:{args.port} ({e}); choose another --port or --host", file=sys.stderr
        )
        return 2
    print(f"Seamline is at http://{args.host}:{args.port}", flush=True)
    if hosts is None and accounts is None:
        print("Everybody who can reach this address can use it; --auth USER:PASSWORD asks for a password.", flush=True)
    uvicorn.run(
        app, host=args.host, port=args.port, log_level="warning", timeout_graceful_shutdown=2,
        ws_max_size=64 << 10, ws_per_message_deflate=False,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
