"""Holders' wallets in the memory of their agent, behind the Python API of Askar: ``stampede_wallet_storage: memory``.

An agent spends much of its CPU on handing records to Askar's threads, which encrypt them and have SQLite look them
up. Here records are Python objects. Keys are Askar's own, and so is all cryptography with them. What is written is
also in a file of its profile, encrypted, before the call returns: an agent that is killed finds its wallets again.

- ``records``, ``queries``, ``profile``, ``transaction``: what is stored, and how it is found and changed; no I/O;
- ``codec``, ``cipher``, ``log``: how it is written to a file, and read again;
- ``database``: the profiles of one store, and the folder with their files;
- ``entries``, ``session``, ``store``: what ACA-Py sees, which is the API of ``aries_askar``.

What Askar does is described by its source, https://github.com/openwallet-foundation/askar, and compared with this by
``tests/unit/test_wallet_memory_model.py``.
"""
