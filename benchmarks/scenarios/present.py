"""A holder that is issued a credential and then presents it, once a round."""

from stampede import Holder


async def script(holder: Holder) -> None:
    """Connect, receive, and present until the end of the run."""
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        await holder.wait(holder.context.settings.wait_min, holder.context.settings.wait_max)
        await holder.present_proof("verifier")
