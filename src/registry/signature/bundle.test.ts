import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { sha256 } from '../../oci/digest.ts';
import { bundleSignatures, signedBundle } from './bundle.ts';
import { isSignedBy, readPublicKey, signedImage } from './payload.ts';

/** What cosign 3 made of an image, with `sign --key --tlog-upload=false`. */
const COSIGN = {
  digest: 'sha256:6fac837f111f48217bdd35130e8d398ccb319cff983876d5f3938f3e6c3692e6',
  key: `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE86C+3mY3cbUHCb8Qn6Br3MuLhsNe
aqUyfmTTiuYu+E+BuRiVypqad6j9+Ll7GZjmjAd/s8o02gWDjXJvJ34DDA==
-----END PUBLIC KEY-----
`,
  bundle:
    '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"CsGUJbr6gPQ2hV2VADs0M2W5KiLHmK/wRJO5mBRD0TA="}},"dsseEnvelope":{"payload":"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0IjpbeyJkaWdlc3QiOnsic2hhMjU2IjoiNmZhYzgzN2YxMTFmNDgyMTdiZGQzNTEzMGU4ZDM5OGNjYjMxOWNmZjk4Mzg3NmQ1ZjM5MzhmM2U2YzM2OTJlNiJ9LCJhbm5vdGF0aW9ucyI6e319XSwicHJlZGljYXRlVHlwZSI6Imh0dHBzOi8vc2lnc3RvcmUuZGV2L2Nvc2lnbi9zaWduL3YxIiwicHJlZGljYXRlIjp7fX0=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MEUCIQCofWs/w67tVoyU+TNjUsCV8npKQRXmTwzMdrzyLSO7LgIgZv8FxtJCj+1j/S0PXWKQyEenjW4qSt/vH5Af6ghmYtM="}]}}',
} as const;

const DIGEST = sha256('an image');

test('a bundle of cosign’s is a signature of its image by its key, and of nothing else', () => {
  const [signature, ...more] = bundleSignatures(Buffer.from(COSIGN.bundle));
  assert.equal(more.length, 0);
  const keys = [readPublicKey(COSIGN.key)];
  assert.deepEqual(signedImage(signature!.payload), {
    digests: [COSIGN.digest],
    annotations: {},
    repository: undefined,
  });
  assert.equal(isSignedBy(signature!, COSIGN.digest, keys), true);
  assert.equal(isSignedBy(signature!, DIGEST, keys), false);
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  assert.equal(isSignedBy(signature!, COSIGN.digest, [publicKey]), false);
});

test('a bundle of ours has cosign’s form, and its key’s hint', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const bundle = signedBundle(privateKey, DIGEST, { by: 'ann' });
  const [signature] = bundleSignatures(bundle);
  assert.equal(isSignedBy(signature!, DIGEST, [publicKey]), true);
  assert.deepEqual(signedImage(signature!.payload)!.annotations, { by: 'ann' });
  const shapeOf = (value: unknown): unknown =>
    value !== null && typeof value === 'object'
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]))
      : typeof value;
  assert.deepEqual(shapeOf(JSON.parse(bundle.toString())), shapeOf(JSON.parse(COSIGN.bundle)));
});

test('what is changed, claims something else, or is no bundle signs nothing', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const good = signedBundle(privateKey, DIGEST, {}).toString();
  const isGood = (bundle: string): boolean =>
    bundleSignatures(Buffer.from(bundle)).some((signature) => isSignedBy(signature, DIGEST, [publicKey]));
  assert.equal(isGood(good), true);
  const withPayload = (change: (statement: Record<string, unknown>) => void): string => {
    const bundle = JSON.parse(good) as { dsseEnvelope: { payload: string } };
    const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString()) as Record<
      string,
      unknown
    >;
    change(statement);
    bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString('base64');
    return JSON.stringify(bundle);
  };
  for (const [name, bundle] of Object.entries({
    'another subject': withPayload((statement) => (statement['subject'] = [{ digest: { sha256: 'a'.repeat(64) } }])),
    'another predicate': withPayload((statement) => (statement['predicateType'] = 'https://slsa.dev/provenance/v1')),
    'another type': good.replace('application/vnd.in-toto+json', 'text/plain'),
    'another version': good.replace('bundle.v0.3', 'bundle.v0.9'),
    'no signature': good.replace(/"sig":"[^"]*"/, '"sig":""'),
    'no envelope': '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}',
    'a certificate’s': good.replace('"dsseEnvelope"', '"messageSignature"'),
    'no json': 'bundle',
    null: 'null',
  })) {
    assert.equal(isGood(bundle), false, name);
  }
  // A claim about an image, well signed, is no signature of it.
  const claim = JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: DIGEST.slice(7) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {},
  });
  assert.equal(signedImage(Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${claim.length} ${claim}`)), undefined);
});
