import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { CERTIFICATE } from './testing/certificate.ts';
import { checkKeyPair, readCertificates } from './pem.ts';

const path = '/etc/gantry/tls/ca.pem';

test('certificates among other text are read, each of them', () => {
  assert.deepEqual(
    readCertificates({ path, text: `the authority:\n${CERTIFICATE}\n# and again\n${CERTIFICATE}` }).map(
      ({ subject }) => subject,
    ),
    ['CN=a', 'CN=a'],
  );
});

test('a file without one, a damaged one and one in DER are told apart', () => {
  const refused = (text: string, words: RegExp): void => {
    assert.throws(() => readCertificates({ path, text }), { code: 'invalid-argument', message: words });
  };
  refused('', /^\/etc\/gantry\/tls\/ca.pem has no certificate in PEM$/);
  refused('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /has no certificate/);
  refused(`${CERTIFICATE}${CERTIFICATE.replace('MIIB', 'MIIC')}`, /^certificate 2 of .*ca.pem is damaged: /);
  const der = Buffer.from(CERTIFICATE.replace(/-----.*-----/g, ''), 'base64').toString('utf8');
  refused(der, /in PEM: convert it by openssl x509 -inform der$/);
});

test('a key must be one, without a passphrase, and the certificate’s own', () => {
  const refused = (text: string, words: RegExp): void => {
    assert.throws(() => checkKeyPair({ path, text: CERTIFICATE }, { path: '/key.pem', text }), {
      code: 'invalid-argument',
      message: words,
    });
  };
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  refused(
    String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    /^the key \/key.pem is not that of the certificate /,
  );
  refused('no key', /^\/key.pem has no private key in PEM that can be used: /);
  refused(
    String(privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })),
    /it has a passphrase$/,
  );
});
