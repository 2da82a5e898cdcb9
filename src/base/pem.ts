import { createPrivateKey, X509Certificate } from 'node:crypto';
import { EngineError } from './errors.ts';

/** A text of a file, and where it is from for what is said about it. */
export interface PemFile {
  readonly text: string;
  readonly path: string;
}

const CERTIFICATE = /-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END \1?CERTIFICATE-----/g;
/** More than any system's authorities. */
const MAX_BYTES = 16 << 20;

/**
 * The certificates of a PEM file, the first one first; text around them is ignored. Throws `invalid-argument` when there
 * is none or one is damaged: OpenSSL would take the file for one that trusts nobody, or fail at the first connection.
 */
export function readCertificates({ text, path }: PemFile): X509Certificate[] {
  if (text.length > MAX_BYTES) throw new EngineError('invalid-argument', `${path} is larger than 16 MiB`);
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    // DER begins with a sequence whose length takes two bytes
    const der = text.charCodeAt(0) === 0x30 && !/^0[\d\s]/.test(text);
    throw new EngineError(
      'invalid-argument',
      `${path} has no certificate in PEM${der ? ': convert it by openssl x509 -inform der' : ''}`,
    );
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      const which = blocks.length > 1 ? `certificate ${index + 1} of ` : '';
      throw new EngineError('invalid-argument', `${which}${path} is damaged: ${(error as Error).message}`, {
        cause: error,
      });
    }
  });
}

/** Sees that a key is that of a certificate. Throws `invalid-argument` for another one's, and for what is none. */
export function checkKeyPair(certificate: PemFile, key: PemFile): void {
  const [own] = readCertificates(certificate);
  let belongs: boolean;
  try {
    belongs = own!.checkPrivateKey(createPrivateKey(key.text));
  } catch (error) {
    const why = /\bENCRYPTED\b/.test(key.text) ? 'it has a passphrase' : (error as Error).message;
    throw new EngineError('invalid-argument', `${key.path} has no private key in PEM that can be used: ${why}`, {
      cause: error,
    });
  }
  if (!belongs)
    throw new EngineError('invalid-argument', `the key ${key.path} is not that of the certificate ${certificate.path}`);
}
