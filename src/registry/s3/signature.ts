import { createHash, createHmac } from 'node:crypto';

/** Who we are to an S3-compatible store. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SigningContext {
  readonly credentials: S3Credentials;
  readonly region: string;
  readonly now: Date;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
export const EMPTY_HASH = createHash('sha256').update('').digest('hex');
export const UNSIGNED = 'UNSIGNED-PAYLOAD';

/** The headers to send with a request so that it is ours (AWS Signature Version 4). `host` is added by the transport. */
export function signedHeaders(
  request: { method: string; url: URL; headers: Readonly<Record<string, string>>; payloadHash: string },
  context: SigningContext,
): Record<string, string> {
  const { credentials, now } = context;
  const headers: Record<string, string> = {
    ...lowerCased(request.headers),
    host: request.url.host,
    'x-amz-content-sha256': request.payloadHash,
    'x-amz-date': stamp(now),
    ...(credentials.sessionToken !== undefined && { 'x-amz-security-token': credentials.sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = canonicalRequest({ ...request, headers, names });
  const { scope, signature } = sign(canonical, context);
  const { host: _, ...sent } = headers;
  return {
    ...sent,
    authorization: `${ALGORITHM} Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}`,
  };
}

/** A URL that anybody may GET for so long. */
export function presignedUrl(url: URL, { expiresSeconds }: { expiresSeconds: number }, context: SigningContext): URL {
  const { credentials, region, now } = context;
  const signed = new URL(url);
  const parameters = {
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Credential': `${credentials.accessKeyId}/${scopeOf(now, region)}`,
    'X-Amz-Date': stamp(now),
    'X-Amz-Expires': String(expiresSeconds),
    ...(credentials.sessionToken !== undefined && { 'X-Amz-Security-Token': credentials.sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  };
  for (const [name, value] of Object.entries(parameters)) signed.searchParams.set(name, value);
  const headers = { host: signed.host };
  const canonical = canonicalRequest({ method: 'GET', url: signed, headers, names: ['host'], payloadHash: UNSIGNED });
  signed.search = `${canonicalQuery(signed)}&X-Amz-Signature=${sign(canonical, context).signature}`;
  return signed;
}

/** As S3 wants names encoded: everything but letters, digits and `-._~`; slashes stay in paths. */
export function encodeS3(text: string, keepSlash = false): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return keepSlash ? encoded.replaceAll('%2F', '/') : encoded;
}

function canonicalRequest(request: {
  method: string;
  url: URL;
  headers: Readonly<Record<string, string>>;
  names: readonly string[];
  payloadHash: string;
}): string {
  const { method, url, headers, names, payloadHash } = request;
  const lines = names.map((name) => `${name}:${headers[name]!.trim().replace(/ +/g, ' ')}\n`);
  const path = encodeS3(decodeURIComponent(url.pathname), true);
  return [method, path, canonicalQuery(url), lines.join(''), names.join(';'), payloadHash].join('\n');
}

function canonicalQuery(url: URL): string {
  return [...url.searchParams]
    .map(([name, value]) => `${encodeS3(name)}=${encodeS3(value)}`)
    .sort()
    .join('&');
}

function sign(canonical: string, { credentials, region, now }: SigningContext): { scope: string; signature: string } {
  const scope = scopeOf(now, region);
  const text = [ALGORITHM, stamp(now), scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = scope
    .split('/')
    .reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${credentials.secretAccessKey}`);
  return { scope, signature: hmac(key, text).toString('hex') };
}

function scopeOf(now: Date, region: string): string {
  return `${stamp(now).slice(0, 8)}/${region}/s3/aws4_request`;
}

/** `20130524T000000Z` */
function stamp(now: Date): string {
  return now.toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
