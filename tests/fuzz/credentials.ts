/** Files that say who somebody is: certificates and keys, logins, tokens, ranges of ids. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkKeyPair, readCertificates } from '../../src/base/pem.ts';
import { remappedIds } from '../../src/engine/userns/subordinate-ids.ts';
import { KeyFile } from '../../src/engine/secrets/key-file.ts';
import { parseResolvConf, resolvConfText } from '../../src/network/container-files.ts';
import { parseHtpasswd } from '../../src/registry/server/logins.ts';
import { TokenVerifier } from '../../src/registry/server/tokens.ts';
import { readPublicKey } from '../../src/registry/signature/payload.ts';
import { CERTIFICATE, KEY } from '../../src/base/testing/certificate.ts';
import { readers, type Target } from './target.ts';

const PUBLIC = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmMTtSyEyOfVu0SzuzZGMJf3gC3BW
L3TywLjOzY5koh4z3T/Xt2Y/9eGRIof5gdpp5Nq0ycJw/TM6tjVHTiBedQ==
-----END PUBLIC KEY-----
`;
const DER = Buffer.from(CERTIFICATE.replace(/-----.*-----/g, ''), 'base64');
const HASH = '$2y$10$'.padEnd(60, 'a');

const text = (input: Buffer): string => input.toString('utf8');

export function credentialTargets(): Target[] {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-fuzz-'));
  const keyFile = join(directory, 'secrets.key');
  return [
    {
      name: 'certificates',
      seeds: [CERTIFICATE, KEY + CERTIFICATE, CERTIFICATE + CERTIFICATE, PUBLIC, DER],
      pieces: [
        '-----BEGIN CERTIFICATE-----\n',
        '-----END CERTIFICATE-----\n',
        '-----BEGIN ENCRYPTED PRIVATE KEY-----\n',
      ],
      read: readers(
        (input) => readCertificates({ path: 'ca.pem', text: text(input) }),
        // one file for both, as some tools write it
        (input) => checkKeyPair({ path: 'cert.pem', text: text(input) }, { path: 'key.pem', text: text(input) }),
        (input) => checkKeyPair({ path: 'cert.pem', text: CERTIFICATE }, { path: 'key.pem', text: text(input) }),
        (input) => readPublicKey(text(input)),
      ),
    },
    {
      name: 'token-keys',
      json: true,
      seeds: [
        PUBLIC,
        JSON.stringify({
          keys: [
            { kty: 'oct', k: 'AAAA' },
            { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'a' },
          ],
        }),
      ],
      read: (input) => new TokenVerifier(text(input)).verify('e30.e30.AA'),
    },
    {
      name: 'tokens',
      seeds: ['eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIiwic3ViIjoiYiIsImF1ZCI6ImMiLCJleHAiOjEsImFjY2VzcyI6W119.AAAA'],
      read: (input) => new TokenVerifier(PUBLIC).verify(text(input)),
    },
    {
      name: 'htpasswd',
      seeds: [`# users\nann:${HASH}\nbob:${HASH}\n`],
      pieces: [HASH, ':', '$2y$10$'],
      read: (input) => parseHtpasswd(text(input)),
    },
    {
      name: 'secrets-key',
      json: true,
      seeds: [JSON.stringify({ keys: [{ id: '00112233', key: Buffer.alloc(32).toString('base64') }] })],
      read: (input) => {
        writeFileSync(keyFile, input, { mode: 0o600 });
        return new KeyFile(keyFile).seal(Buffer.from('x'), 'fuzz', { mustExist: true });
      },
      close: async () => rmSync(directory, { recursive: true, force: true }),
    },
    {
      name: 'subordinate-ids',
      seeds: ['dockremap:100000:65536\nann:165536:65536\n', 'dockremap:0:0\n'],
      pieces: ['dockremap', ':', '4294967296'],
      read: (input) => remappedIds('default', () => text(input)),
    },
    {
      name: 'resolver-files',
      seeds: ['nameserver 1.1.1.1\nsearch a.b c\noptions ndots:2\n; comment\n', 'domain x\n'],
      pieces: ['nameserver', 'search', '#'],
      read: (input) => {
        const lines = resolvConfText(parseResolvConf(text(input))).split('\n');
        // whatever the host's file says, the container's has lines of these kinds alone
        const odd = lines.find((line) => !/^(?:#.*|nameserver .*|search .*|options .*|)$/.test(line));
        if (odd !== undefined) throw new Error(`a line of its own: ${JSON.stringify(odd)}`);
      },
    },
  ];
}
