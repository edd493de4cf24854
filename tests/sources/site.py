"""Site: where a fake server of the tests listens, on this machine's loopback."""

from aiohttp import web


class Site:
    """One server. `port`: any that is free at first, and the same after it was closed."""

    def __init__(self) -> None:
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def open(self, app: web.Application) -> None:
        """Listens."""
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Does not, and ends what is still open."""
        if self._runner is not None:
            await self._runner.cleanup()
