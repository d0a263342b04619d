// Modules of an agent that issues, holds and verifies AnonCreds credentials, without asking anybody.
import { CredentialsModule, ProofsModule, V2CredentialProtocol, V2ProofProtocol } from '@credo-ts/core'
import { AskarModule } from '@credo-ts/askar'
import { AnonCredsCredentialFormatService, AnonCredsModule, AnonCredsProofFormatService } from '@credo-ts/anoncreds'
import { ariesAskar } from '@hyperledger/aries-askar-nodejs'
import { anoncreds } from '@hyperledger/anoncreds-nodejs'

export const exchanges = (options) => ({
  askar: new AskarModule({ ariesAskar }),
  anoncreds: new AnonCredsModule({ anoncreds, ...options }),
  credentials: new CredentialsModule({
    autoAcceptCredentials: 'always',
    credentialProtocols: [new V2CredentialProtocol({ credentialFormats: [new AnonCredsCredentialFormatService()] })],
  }),
  proofs: new ProofsModule({
    autoAcceptProofs: 'always',
    proofProtocols: [new V2ProofProtocol({ proofFormats: [new AnonCredsProofFormatService()] })],
  }),
})
