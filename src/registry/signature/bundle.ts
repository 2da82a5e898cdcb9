import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { Digest } from '../../oci/digest.ts';
import { type Signature, signBytes } from './payload.ts';
import { envelope, SIGN_PREDICATE, STATEMENT, STATEMENT_TYPE } from './statement.ts';

/** A sigstore bundle, as cosign attaches one to an image as its referrer since version 3. */
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
/** A bundle that says of the image `digest` that it is signed, by a key and without a log. */
export function signedBundle(key: KeyObject, digest: Digest, annotations: Readonly<Record<string, string>>): Buffer {
  const [algorithm, hex] = digest.split(':') as [string, string];
  const statement = {
    _type: STATEMENT,
    subject: [{ digest: { [algorithm]: hex }, annotations }],
    predicateType: SIGN_PREDICATE,
    predicate: {},
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const { signature } = signBytes(key, envelope(STATEMENT_TYPE, payload));
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return Buffer.from(
    JSON.stringify({
      mediaType: BUNDLE_TYPE,
      // By this a verifier with several keys finds the one.
      verificationMaterial: { publicKey: { hint: createHash('sha256').update(publicKey).digest('base64') } },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType: STATEMENT_TYPE,
        signatures: [{ sig: signature }],
      },
    }),
  );
}

/** The signatures of a bundle that has an envelope; none for what is no such document. Nothing is verified. */
export function bundleSignatures(bytes: Uint8Array): Signature[] {
  try {
    const { mediaType, dsseEnvelope } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      mediaType?: unknown;
      dsseEnvelope?: { payload?: unknown; payloadType?: unknown; signatures?: unknown };
    };
    const { payload, payloadType, signatures } = dsseEnvelope ?? {};
    if (mediaType !== BUNDLE_TYPE || typeof payload !== 'string' || payloadType !== STATEMENT_TYPE) return [];
    const signed = envelope(STATEMENT_TYPE, Buffer.from(payload, 'base64'));
    const all = Array.isArray(signatures) ? (signatures as ({ sig?: unknown } | null)[]) : [];
    return all.flatMap((one) => (typeof one?.sig === 'string' ? [{ payload: signed, signature: one.sig }] : []));
  } catch {
    return [];
  }
}
