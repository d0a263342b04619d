// Holders made of Credo-TS, one Agent each, for benchmarks/peer.py. The only argument is JSON: `first` and `count` of the
// holders, `port` of the first one's messages, `at_once`, `limit` in ms for a step, `folder` of the wallets, and
// `services`: the URLs of invitations. It writes a line of JSON when it is up. Then each line of standard input names a
// stage that all holders go through, and a line of JSON says in the end which of them could not, and why.
import {
  Agent, ConnectionsModule, ConsoleLogger, CredentialEventTypes, HttpOutboundTransport, KeyDerivationMethod, LogLevel,
  PeerDidNumAlgo, ProofEventTypes,
} from '@credo-ts/core'
import { HttpInboundTransport, agentDependencies } from '@credo-ts/node'
import { BasicTailsFileService } from '@credo-ts/anoncreds'
import { Store } from '@hyperledger/aries-askar-nodejs'
import { createInterface } from 'node:readline'
import { DidWebRegistry } from './didweb.mjs'
import { exchanges } from './exchanges.mjs'

const given = JSON.parse(process.argv[2])
const registry = new DidWebRegistry()

// One download of each file for all holders of the process.
class SharedTails extends BasicTailsFileService {
  files = new Map()
  getTailsFile(context, options) {
    const hash = options.revocationRegistryDefinition.value.tailsHash
    if (!this.files.has(hash)) this.files.set(hash, super.getTailsFile(context, options))
    return this.files.get(hash)
  }
}
const tails = new SharedTails({ tailsDirectoryPath: given.folder })

class Holder {
  constructor(number) {
    this.number = number
  }

  async ready() {
    const port = given.port + this.number - given.first
    this.agent = new Agent({
      config: {
        label: `Holder ${this.number}`,
        walletConfig: {
          id: `holder-${this.number}`,
          key: Store.generateRawKey(), // as ACA-Py's holders have it: no time goes into deriving a key
          keyDerivationMethod: KeyDerivationMethod.Raw,
          storage: { type: 'sqlite', config: { path: `${given.folder}/${this.number}/wallet.db` } },
        },
        endpoints: [`http://127.0.0.1:${port}`],
        logger: new ConsoleLogger(LogLevel.error),
      },
      dependencies: agentDependencies,
      modules: {
        ...exchanges({ registries: [registry], tailsFileService: tails }),
        connections: new ConnectionsModule({
          autoAcceptConnections: true,
          peerNumAlgoForDidExchangeRequests: PeerDidNumAlgo.ShortFormAndLongForm, // did:peer:4, as ACA-Py's holders
        }),
      },
    })
    this.agent.registerInboundTransport(new HttpInboundTransport({ port }))
    this.agent.registerOutboundTransport(new HttpOutboundTransport())
    await this.agent.initialize()
  }

  async connect(service = 'connect') {
    const { connectionRecord } = await this.accept(service)
    await this.agent.connections.returnWhenIsConnected(connectionRecord.id, { timeoutMs: given.limit })
  }

  async receive() {
    await Promise.all([this.done(CredentialEventTypes.CredentialStateChanged), this.connect('receive')])
  }

  async present() {
    await Promise.all([this.done(ProofEventTypes.ProofStateChanged), this.accept('present')])
  }

  async accept(service) {
    const answer = await fetch(given.services[service], { method: 'POST' })
    if (!answer.ok) throw new Error(`${given.services[service]}: ${answer.status} ${await answer.text()}`)
    const { invitation_url } = await answer.json()
    return this.agent.oob.receiveInvitationFromUrl(invitation_url, { reuseConnection: false })
  }

  // The end of the one exchange that the holder is in.
  done(type) {
    return new Promise((resolve, reject) => {
      const heard = ({ payload: { credentialRecord, proofRecord } }) => {
        const { state, errorMessage } = credentialRecord ?? proofRecord
        if (!['done', 'abandoned', 'declined'].includes(state)) return
        this.agent.events.off(type, heard)
        state === 'done' ? resolve() : reject(new Error(`${state}: ${errorMessage}`))
      }
      this.agent.events.on(type, heard)
    })
  }
}

const holders = Array.from({ length: given.count }, (_, index) => new Holder(given.first + index))

function withinLimit(work) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${given.limit} ms`)), given.limit)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

// All holders go through the stage, `at_once` of them at a time.
async function all(stage) {
  const failed = []
  const waiting = [...holders]
  const worker = async () => {
    for (let holder = waiting.shift(); holder; holder = waiting.shift()) {
      await withinLimit(holder[stage]()).catch((error) => failed.push(`holder ${holder.number}: ${error?.message ?? error}`))
    }
  }
  await Promise.all(Array.from({ length: given.at_once }, worker))
  return failed
}

console.log(JSON.stringify({ stage: 'up', failed: [] }))
createInterface({ input: process.stdin })
  .on('line', async (stage) => {
    const failed = stage === 'collect' ? (global.gc(), []) : await all(stage)
    console.log(JSON.stringify({ stage, failed }))
  })
  .on('close', () => process.exit())
