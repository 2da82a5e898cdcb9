import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { statedImages } from './statement.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';

/** What is signed, and by what: cosign's payload of "simple signing", or what a bundle's envelope stands for. */
export interface Signature {
  /** The signed bytes. */
  readonly payload: Buffer;
  /** Base64 of ECDSA over P-256 with SHA-256, in DER. */
  readonly signature: string;
}

const TYPE = 'cosign container image signature';

/** The statement that `repository` has the image `digest`. */
export function signaturePayload(
  repository: string,
  digest: Digest,
  annotations: Readonly<Record<string, string>> = {},
): Buffer {
  const optional = Object.keys(annotations).length > 0 ? annotations : null;
  const critical = {
    identity: { 'docker-reference': repository },
    image: { 'docker-manifest-digest': digest },
    type: TYPE,
  };
  return Buffer.from(JSON.stringify({ critical, optional }));
}

export interface SignedImage {
  /** Usually one. */
  readonly digests: readonly Digest[];
  /** Undefined where the signature does not say. */
  readonly repository: string | undefined;
  readonly annotations: Readonly<Record<string, unknown>>;
}

/** The image that signed bytes speak of; undefined for what is no signature of an image. */
export function signedImage(payload: Buffer): SignedImage | undefined {
  try {
    const stated = statedImages(payload);
    if (stated) return { ...stated, repository: undefined };
    const { critical, optional } = JSON.parse(payload.toString('utf8')) as {
      critical?: { identity?: Record<string, unknown>; image?: Record<string, unknown>; type?: unknown };
      optional?: Record<string, unknown> | null;
    };
    const digest = critical?.image?.['docker-manifest-digest'];
    if (typeof digest !== 'string' || !isDigest(digest)) return undefined;
    // Others that sign the same way say it in their own words: "atomic container signature".
    if (typeof critical?.type !== 'string' || !critical.type.endsWith('signature')) return undefined;
    const repository = critical.identity?.['docker-reference'];
    return {
      digests: [digest],
      repository: typeof repository === 'string' ? repository : undefined,
      annotations: optional ?? {},
    };
  } catch {
    return undefined;
  }
}

export function signBytes(key: KeyObject, payload: Buffer): Signature {
  checkCurve(key);
  return { payload, signature: sign('sha256', payload, key).toString('base64') };
}

/** Whether one of `keys` signed, and signed for `digest`. */
export function isSignedBy({ payload, signature }: Signature, digest: Digest, keys: readonly KeyObject[]): boolean {
  if (!signedImage(payload)?.digests.includes(digest)) return false;
  const bytes = Buffer.from(signature, 'base64');
  return keys.some((key) => {
    try {
      return verify('sha256', payload, key, bytes);
    } catch {
      return false;
    }
  });
}

/** Throws `invalid-argument` for what is no public key on P-256. */
export function readPublicKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (error) {
    throw new EngineError('invalid-argument', `not a public key in PEM: ${(error as Error).message}`, { cause: error });
  }
  checkCurve(key);
  return key;
}

function checkCurve(key: KeyObject): void {
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return;
  throw new EngineError('invalid-argument', 'signatures are made and checked with ECDSA keys on P-256 alone');
}
