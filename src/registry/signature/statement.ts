import { type Digest, isDigest } from '../../oci/digest.ts';

/** What a statement says that is a signature of an image, and not a claim about it. */
export const SIGN_PREDICATE = 'https://sigstore.dev/cosign/sign/v1';
export const STATEMENT = 'https://in-toto.io/Statement/v1';
export const STATEMENT_TYPE = 'application/vnd.in-toto+json';
/** DSSE's pre-authentication encoding: what is signed of a payload and its type. */
const ENVELOPE = /^DSSEv1 (\d+) (\S+) (\d+) /;

/** The images that the signed bytes of a bundle's envelope speak of; undefined for what is none, or says something else of them. */
export function statedImages(signed: Buffer): { digests: Digest[]; annotations: Record<string, unknown> } | undefined {
  const [head, length, type, bytes] = ENVELOPE.exec(signed.subarray(0, 200).toString('latin1')) ?? [];
  if (head === undefined || type !== STATEMENT_TYPE || Number(length) !== type.length) return undefined;
  const body = signed.subarray(head.length);
  if (body.byteLength !== Number(bytes)) return undefined;
  const statement = JSON.parse(body.toString('utf8')) as {
    _type?: unknown;
    predicateType?: unknown;
    subject?: ({ digest?: Record<string, unknown>; annotations?: Record<string, unknown> } | null)[];
  };
  if (statement._type !== STATEMENT || statement.predicateType !== SIGN_PREDICATE) return undefined;
  const subjects = Array.isArray(statement.subject) ? statement.subject : [];
  const digests = subjects.flatMap((subject) =>
    Object.entries(subject?.digest ?? {})
      .map(([algorithm, hex]) => `${algorithm}:${String(hex)}`)
      .filter((digest) => isDigest(digest)),
  );
  return { digests, annotations: subjects[0]?.annotations ?? {} };
}

/** What is signed of `payload`. */
export function envelope(type: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.byteLength} `), payload]);
}
