// Credo-TS as issuer, verifier and mediator. The only argument is JSON: `port` for messages by HTTP and WebSocket, `control`
// for the endpoints below, `strategy` of the mediator, `folder` of the wallet, and for an issuer `did`, `registry`, `token`.
import {
  Agent, ConnectionEventTypes, ConnectionsModule, ConsoleLogger, HttpOutboundTransport, LogLevel, MediatorModule,
  WsOutboundTransport,
} from '@credo-ts/core'
import { HttpInboundTransport, WsInboundTransport, agentDependencies } from '@credo-ts/node'
import express from 'express'
import { WebSocketServer } from 'ws'
import { DidWebRegistry, hashOf } from './didweb.mjs'
import { exchanges } from './exchanges.mjs'

const given = JSON.parse(process.argv[2])
const own = `http://127.0.0.1:${given.control}`

// The registry, written to as well.
class IssuersRegistry extends DidWebRegistry {
  async registerSchema(_, { schema: { attrNames, issuerId, name, version } }) {
    const schema = { attrNames, issuerId, name, version }
    const schemaState = { state: 'finished', schema, schemaId: await publish('schema', schema) }
    return { schemaState, registrationMetadata: {}, schemaMetadata: {} }
  }
  async registerCredentialDefinition(_, { credentialDefinition: { issuerId, schemaId, tag, type, value } }) {
    const credentialDefinition = { issuerId, schemaId, tag, type, value }
    const credentialDefinitionId = await publish('credDef', credentialDefinition)
    const credentialDefinitionState = { state: 'finished', credentialDefinition, credentialDefinitionId }
    return { credentialDefinitionState, registrationMetadata: {}, credentialDefinitionMetadata: {} }
  }
}

async function publish(kind, resource) {
  const hash = hashOf(resource)
  const answer = await fetch(`${given.registry}/${kind}/${hash}`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${given.token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ resource, resourceMetadata: {} }),
  })
  if (!answer.ok) throw new Error(`${kind}: ${answer.status} ${await answer.text()}`)
  return `${given.did}?service=anoncreds&relativeRef=/${kind}/${hash}`
}

const agent = new Agent({
  config: {
    label: 'Credo',
    walletConfig: { id: 'credo', key: 'key', storage: { type: 'sqlite', config: { path: `${given.folder}/wallet.db` } } },
    endpoints: [`http://127.0.0.1:${given.port}`, `ws://127.0.0.1:${given.port}`],
    logger: new ConsoleLogger(LogLevel.warn),
  },
  dependencies: agentDependencies,
  modules: {
    ...exchanges({ registries: [new IssuersRegistry()] }),
    connections: new ConnectionsModule({ autoAcceptConnections: true }),
    mediator: new MediatorModule({ autoAcceptMediationRequests: true, messageForwardingStrategy: given.strategy }),
  },
})
const http = new HttpInboundTransport({ port: given.port })
const sockets = new WebSocketServer({ noServer: true })
agent.registerInboundTransport(http)
agent.registerInboundTransport(new WsInboundTransport({ server: sockets }))
agent.registerOutboundTransport(new HttpOutboundTransport())
agent.registerOutboundTransport(new WsOutboundTransport())
await agent.initialize()
http.server.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (open) => sockets.emit('connection', open, request)))

const attributes = [{ name: 'name', value: 'Alice' }, { name: 'number', value: '7' }]
let credentialDefinitionId
if (given.did) {
  const { registerSchema, registerCredentialDefinition } = agent.modules.anoncreds
  const schema = { issuerId: given.did, name: 'member', version: '1.0', attrNames: attributes.map(({ name }) => name) }
  const { schemaState } = await registerSchema.call(agent.modules.anoncreds, { schema, options: {} })
  if (schemaState.state !== 'finished') throw new Error(JSON.stringify(schemaState))
  const { credentialDefinitionState: made } = await registerCredentialDefinition.call(agent.modules.anoncreds, {
    credentialDefinition: { issuerId: given.did, schemaId: schemaState.schemaId, tag: 'plain' },
    options: { supportRevocation: false },
  })
  if (made.state !== 'finished') throw new Error(JSON.stringify(made))
  credentialDefinitionId = made.credentialDefinitionId
}
const offer = () => ({ protocolVersion: 'v2', credentialFormats: { anoncreds: { credentialDefinitionId, attributes } } })
const proof = () => ({
  protocolVersion: 'v2',
  proofFormats: {
    anoncreds: {
      name: 'proof', version: '1.0', requested_predicates: {},
      requested_attributes: { a: { name: 'name', restrictions: [{ cred_def_id: credentialDefinitionId }] } },
    },
  },
})

const offering = new Set()
agent.events.on(ConnectionEventTypes.ConnectionStateChanged, async ({ payload: { connectionRecord: connection } }) => {
  if (connection.state === 'completed' && offering.has(connection.outOfBandId)) {
    await agent.credentials.offerCredential({ connectionId: connection.id, ...offer() })
  }
})

const app = express()
const give = (path, make) =>
  app.all(path, (request, response) =>
    make(request.query).then((url) => response.json({ url }), (error) => response.status(500).json({ error: `${error}` })))
const invite = async (options) => (await agent.oob.createInvitation(options)).outOfBandInvitation.toUrl({ domain: own })

give('/issuer/invitation', async ({ handshake = 'https://didcomm.org/didexchange/1.x', multi }) => {
  const made = await agent.oob.createInvitation({ handshakeProtocols: [handshake], multiUseInvitation: !!multi })
  offering.add(made.id)
  return made.outOfBandInvitation.toUrl({ domain: own })
})
give('/issuer/attached', async ({ handshake }) => {
  const { message } = await agent.credentials.createOffer(offer())
  return invite({ messages: [message], handshake: !!handshake })
})
give('/issuer/elder', async () => {
  const { outOfBandRecord, invitation } = await agent.oob.createLegacyInvitation({})
  offering.add(outOfBandRecord.id)
  return invitation.toUrl({ domain: own })
})
give('/verifier/invitation', async ({ handshake }) => {
  const { message } = await agent.proofs.createRequest(proof())
  return invite({ messages: [message], handshake: !!handshake })
})
give('/verifier/elder', async () => {
  const { message } = await agent.proofs.createRequest(proof())
  return (await agent.oob.createLegacyConnectionlessInvitation({ message, domain: own })).invitationUrl
})
give('/mediator/invitation', () =>
  invite({ multiUseInvitation: true, goalCode: 'aries.vc.mediate', goal: 'mediate' }))
app.listen(given.control, '127.0.0.1', () => console.log('ready'))
process.stdin.resume().on('end', () => process.exit())
