"""`python -m reference`: run the reference services until told to stop."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - who runs this may not have installed the package
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"The reference services need Python 3.13 or newer, this is {found} ({sys.executable}).")

try:
    import psutil

    from stampede.schema.durations import seconds

    from .agent import AgentError
    from .services import Options, Services, StartError
except ModuleNotFoundError as err:
    sys.exit(f"The reference services need the Python package '{err.name}': install requirements-host.txt.")

DESCRIPTION = """\
Practice targets for load tests, made of real ACA-Py agents: an issuer of revocable AnonCreds credentials, a
verifier, a mediator with a public did:web DID, and the registry of the AnonCreds objects and tails files.
All of it is reached over HTTPS at one port, with a certificate authority made at start.
"""
EPILOG = """\
When everything runs, DIR/services.json holds the settings for a run against these services, DIR/ca.pem the
certificate authority to trust, DIR/logs the agents' logs. Ctrl-C or SIGTERM ends everything.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reference",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folder = Path(".stampede/reference")
    parser.add_argument(
        "--dir", type=Path, default=folder, metavar="DIR", help=f"keep files in DIR (default: {folder})"
    )
    parser.add_argument("--port", type=_port, default=9443, help="HTTPS port (default: 9443)")
    parser.add_argument(
        "--public-host",
        default="localhost",
        metavar="HOST",
        help="name or address under which holders reach this machine (default: localhost)",
    )
    parser.add_argument(
        "--die-with", type=int, default=0, metavar="PID", help="stop as soon as the process PID is gone"
    )
    parser.add_argument(
        "--registry-size",
        type=_registry_size,
        default=1000,
        metavar="N",
        help="credentials in one revocation registry, 4 to 32768; a full one is followed by the next (default: 1000)",
    )
    parser.add_argument(
        "--verifier-delay",
        type=_delay,
        default=0.0,
        metavar="DURATION",
        help="hold up each DIDComm message to the verifier, to see what a slow one looks like (default: 0)",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, which is a number from 1 to 65535")
    return int(text)


def _registry_size(text: str) -> int:
    if not text.isdigit() or not 4 <= int(text) <= 32768:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 4 to 32768")
    return int(text)


def _delay(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration such as 0.5 or 2s") from None


async def run(arguments: argparse.Namespace) -> int:
    """Run until a signal, the end of --die-with's process, or an agent's death; answers the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    options = Options(
        arguments.dir, arguments.port, arguments.public_host, arguments.registry_size, arguments.verifier_delay
    )
    try:
        services = Services(options, lambda line: print(line, flush=True))
    except OSError as err:
        return _fail(f"The directory {arguments.dir} (--dir) cannot be used: {err}.")
    _log_to(options.folder / "logs" / "gateway.log")
    leader = _process(arguments.die_with)
    if arguments.die_with and leader is None:
        return _fail(f"There is no process {arguments.die_with} (--die-with).")
    try:
        starting = asyncio.create_task(services.start())
        await _first(starting, stop, leader)
        if not starting.done():
            starting.cancel()
            return 0
        await starting
        print(_summary(services), flush=True)
        while not stop.is_set() and not _gone(leader):
            if obituary := services.dead_agent():
                return _fail(obituary)
            await _wait(stop, 1)
        return 0
    except (StartError, AgentError) as err:
        return _fail(services.dead_agent() or str(err))
    finally:
        await services.stop()


async def _first(starting: asyncio.Task[None], stop: asyncio.Event, leader: psutil.Process | None) -> None:
    while not starting.done() and not stop.is_set() and not _gone(leader):
        await asyncio.wait([starting], timeout=0.2)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid) if pid else None
    except psutil.NoSuchProcess:
        return None


def _gone(leader: psutil.Process | None) -> bool:
    if leader is None:
        return False
    try:
        return not leader.is_running() or leader.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _fail(sentence: str) -> int:
    print(f"reference: {sentence}", file=sys.stderr, flush=True)
    return 1


def _log_to(path: Path) -> None:
    logging.basicConfig(
        filename=path, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _summary(services: Services) -> str:
    description = services.description()
    urls = description["urls"]
    rows = {
        "issuer": f"{urls['issuer_invitation']}, {urls['issuer_revocation']}, {urls['issuer_status']}",
        "verifier": f"{urls['verifier_invitation']}, {urls['verifier_presentations']}",
        "mediator": f"{description['mediator_did']}, {urls['mediator_status']}",
        "registry": f"{urls['registry']}, {urls['tails']}",
        "CA": description["ca_file"],
        "settings": str(Path(description["ca_file"]).with_name("services.json")),
    }
    width = max(map(len, rows)) + 2
    return "\n".join(["Reference services are ready.", *(f"  {name:<{width}}{text}" for name, text in rows.items())])


def main() -> None:
    """The command."""
    arguments = parse()
    try:
        import uvloop
    except ImportError:
        sys.exit(asyncio.run(run(arguments)))
    sys.exit(uvloop.run(run(arguments)))


if __name__ == "__main__":
    main()
