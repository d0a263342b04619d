"""Runs in Python 3.8: `indy.py FOLDER PORT genesis` writes a network's genesis and its nodes' keys, and
`indy.py FOLDER PORT N` is node N of four. Ports PORT to PORT + 7 of 127.0.0.1."""

import sys
import types
from pathlib import Path

import indy_bls.bls
import indy_bls.error
from storage.kv_store_leveldb import KeyValueStorageLeveldb
from storage.kv_store_leveldb_int_keys import KeyValueStorageLeveldbIntKeys

FOLDER, PORT, WHAT = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def stand_in(name, **members):
    """A module in the place of one that cannot be had."""
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(members)


# indy-bls has ursa's functions and its native library in one wheel; RocksDB's bindings have no wheel, LevelDB's have.
stand_in("ursa")
stand_in("ursa.bls", **vars(indy_bls.bls))
stand_in("ursa.indy_error", IndyCryptoError=indy_bls.error.IndyBlsError)
stand_in("storage.kv_store_rocksdb", KeyValueStorageRocksdb=lambda *given: KeyValueStorageLeveldb(*given[:4]))
stand_in(
    "storage.kv_store_rocksdb_int_keys",
    KeyValueStorageRocksdbIntKeys=lambda *given: KeyValueStorageLeveldbIntKeys(*given[:4]),
)

import indy_common.config  # noqa: E402
import plenum.config  # noqa: E402

for module in (plenum.config, indy_common.config):
    module.NETWORK_NAME = "interop"
    module.GENERAL_CONFIG_DIR = str(FOLDER)
    module.LEDGER_DIR = module.KEYS_DIR = module.GENESIS_DIR = module.NODE_INFO_DIR = str(FOLDER)
    module.LOG_DIR = module.BACKUP_DIR = module.PLUGINS_DIR = str(FOLDER)
    module.CLI_BASE_DIR = module.CLI_NETWORK_DIR = str(FOLDER / "cli")
    module.ENABLED_PLUGINS = []
    module.METRICS_COLLECTOR_TYPE = None
    module.logLevel = 40

from indy_common.config_util import getConfig  # noqa: E402

config = getConfig(general_config_dir=str(FOLDER))

if WHAT == "genesis":
    from indy_common.config_helper import ConfigHelper, NodeConfigHelper
    from indy_common.txn_util import getTxnOrderedFields
    from plenum.common.test_network_setup import TestNetworkSetup as Network

    stewards, nodes = Network.gen_defs(None, 4, PORT - 1)
    trustee, clients = Network.gen_trustee_def(1), Network.gen_client_defs(1)
    fields = getTxnOrderedFields()
    Network.bootstrapTestNodesCore(
        config,
        "interop",
        False,
        fields,
        trustee,
        stewards,
        nodes,
        clients,
        [1, 2, 3, 4],
        str(FOLDER / "indy.env"),
        ConfigHelper,
        NodeConfigHelper,
    )
else:
    from indy_node.utils.node_runner import run_node

    number = int(WHAT)
    port = PORT + 2 * (number - 1)
    run_node(
        config, f"Node{number}", node_ip="127.0.0.1", node_port=port, client_ip="127.0.0.1", client_port=port + 1
    )
