"""`python -m reference`: run the reference services until told to stop."""

import argparse
import asyncio
import logging
import resource
import signal
import sys
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - this may run without an installed package
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"The reference services need Python 3.13 or newer; this is {found} ({sys.executable}).")

try:
    import psutil

    from stampede.schema.settings.durations import seconds
    from stampede.schema.settings.web_address import bare_host

    from .agent import AgentError
    from .services import Options, Services, StartError
except ModuleNotFoundError as err:
    sys.exit(f"The reference services need the Python package '{err.name}': install requirements-host.txt.")

DESCRIPTION = """\
Services to try load tests on, made of real ACA-Py agents: an issuer of revocable AnonCreds credentials, a
verifier, a mediator with a public did:web DID, and the registry of the AnonCreds objects and tails files.
Everything is served over HTTPS on one port, with a certificate authority created at start.
"""
EPILOG = """\
Once everything is up, DIR/services.json holds the settings for a run against these services, DIR/ca.pem the
certificate authority to trust, and DIR/logs the agents' logs. Ctrl-C or SIGTERM stops everything.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
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
        type=_host,
        default="localhost",
        metavar="HOST",
        help="name or address by which holders reach this machine (default: localhost)",
    )
    parser.add_argument(
        "--die-with", type=int, default=0, metavar="PID", help="stop as soon as the process PID is gone"
    )
    parser.add_argument(
        "--registry-size",
        type=_registry_size,
        default=1000,
        metavar="N",
        help="credentials in one revocation registry, 4 to 32768; a full one gets a successor (default: 1000)",
    )
    parser.add_argument(
        "--verifier-delay",
        type=_delay,
        default=0.0,
        metavar="DURATION",
        help="delay each DIDComm message to the verifier, to see what a slow one looks like (default: 0)",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, which is a number from 1 to 65535")
    return int(text)


def _host(text: str) -> str:
    try:
        return bare_host(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a host name or IP address, without a port") from None


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
    """Run until a signal, the end of --die-with's process, or an agent's failure; returns the exit code."""
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
    parent = _process(arguments.die_with)
    if arguments.die_with and parent is None:
        return _fail(f"There is no process {arguments.die_with} (--die-with).")
    try:
        starting = asyncio.create_task(services.start())
        await _start_or_stop(starting, stop, parent)
        if not starting.done():
            starting.cancel()
            return 0
        await starting
        print(_summary(services), flush=True)
        while not stop.is_set() and not _gone(parent):
            if failure := services.agent_failure():
                return _fail(failure)
            await _wait(stop, 1)
        return 0
    except (StartError, AgentError) as err:
        return _fail(services.agent_failure() or str(err))
    finally:
        await services.stop()


async def _start_or_stop(starting: asyncio.Task[None], stop: asyncio.Event, parent: psutil.Process | None) -> None:
    while not starting.done() and not stop.is_set() and not _gone(parent):
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


def _gone(parent: psutil.Process | None) -> bool:
    if parent is None:
        return False
    try:
        return not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE
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


def _allow_many_sockets() -> None:
    """Each phone takes two files here and one in the mediator; the usual limit is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Entry point of `python -m reference`."""
    arguments = parse()
    _allow_many_sockets()
    try:
        import uvloop
    except ImportError:
        sys.exit(asyncio.run(run(arguments)))
    sys.exit(uvloop.run(run(arguments)))


if __name__ == "__main__":
    main()
