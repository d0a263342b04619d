"""A member joins, shows the credential a few times, and has it revoked and issued again."""

from stampede import Holder


async def script(holder: Holder) -> None:
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        async for _ in holder.repeat(1, 3):
            await holder.wait(1, 3)  # think time, in seconds
            await holder.present_proof("verifier")
        await holder.request_revocation("issuer")
        await holder.receive_revocation_notification(issuer)
        await holder.receive_credential(issuer)
