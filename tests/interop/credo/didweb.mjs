// The did:web AnonCreds method, as Stampede's reference services have it: objects by the hash of their canonical JSON.
// All agents of a process share what it has fetched of objects that never change, as the holders of an ACA-Py agent do.
import { TypedArrayEncoder } from '@credo-ts/core'
import { createHash } from 'node:crypto'

const canonical = (value) =>
  Array.isArray(value) ? `[${value.map(canonical).join(',')}]`
  : value && typeof value === 'object'
    ? `{${Object.keys(value).sort().filter((key) => value[key] !== undefined)
        .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`
  : JSON.stringify(value)

export const hashOf = (resource) =>
  TypedArrayEncoder.toBase58(createHash('sha256').update(canonical(resource)).digest())

async function get(url) {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

// Values that never change, each made once; a failure is forgotten.
class Kept {
  made = new Map()
  get(key, make) {
    if (!this.made.has(key)) {
      this.made.set(key, make())
      this.made.get(key).catch(() => this.made.delete(key))
    }
    return this.made.get(key)
  }
}

export class DidWebRegistry {
  methodName = 'didweb'
  supportedIdentifier = /^did:web:/
  allowsCaching = true
  allowsLocalRecord = true
  objects = new Kept()
  documents = new Kept()

  async getSchema(_, schemaId) {
    return { schema: (await this.read(schemaId)).resource, schemaId, resolutionMetadata: {}, schemaMetadata: {} }
  }
  async getCredentialDefinition(_, credentialDefinitionId) {
    const { resource: credentialDefinition } = await this.read(credentialDefinitionId)
    return { credentialDefinition, credentialDefinitionId, resolutionMetadata: {}, credentialDefinitionMetadata: {} }
  }
  async getRevocationRegistryDefinition(_, revocationRegistryDefinitionId) {
    const { resource: revocationRegistryDefinition } = await this.read(revocationRegistryDefinitionId)
    const metadata = { resolutionMetadata: {}, revocationRegistryDefinitionMetadata: {} }
    return { revocationRegistryDefinition, revocationRegistryDefinitionId, ...metadata }
  }
  async getRevocationStatusList(_, revocationRegistryId, timestamp) {
    const { resourceMetadata } = await this.read(revocationRegistryId)
    const { resource: revocationStatusList } = await get(`${resourceMetadata.statusListEndpoint}/${timestamp}`)
    return { revocationStatusList, resolutionMetadata: {}, revocationStatusListMetadata: {} }
  }

  // The registry's answer for an object, whose hash is checked.
  read(id) {
    return this.objects.get(id, async () => {
      const [did, query] = id.split('?')
      const asked = new URLSearchParams(query)
      const path = asked.get('relativeRef')
      const answer = await get((await this.endpoint(did, asked.get('service'))) + path)
      const hash = hashOf(answer.resource)
      if (hash !== path.split('/').pop()) throw new Error(`${id}: the object's hash is ${hash}, not the one named`)
      return answer
    })
  }
  async endpoint(did, name) {
    const [host, ...folders] = did.slice('did:web:'.length).split(':').map(decodeURIComponent)
    const url = `https://${host}/${folders.join('/') || '.well-known'}/did.json`
    const { service } = await this.documents.get(url, () => get(url))
    return service.find(({ id }) => id.endsWith(`#${name}`)).serviceEndpoint
  }
}
