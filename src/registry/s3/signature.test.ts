import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_HASH, encodeS3, presignedUrl, signedHeaders } from './signature.ts';

// The examples of Amazon's documentation of Signature Version 4 for S3.
const context = {
  credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
  region: 'us-east-1',
  now: new Date('2013-05-24T00:00:00Z'),
};
const base = 'https://examplebucket.s3.amazonaws.com';

function signatureOf(method: string, url: string, headers: Record<string, string>, payloadHash = EMPTY_HASH): string {
  const signed = signedHeaders({ method, url: new URL(url), headers, payloadHash }, context);
  return /Signature=([0-9a-f]+)$/.exec(signed['authorization']!)![1]!;
}

test('requests are signed as in the documentation', () => {
  assert.equal(
    signatureOf('GET', `${base}/test.txt`, { Range: 'bytes=0-9' }),
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
  assert.equal(
    signatureOf('GET', `${base}/?lifecycle=`, {}),
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  );
  assert.equal(
    signatureOf('GET', `${base}/?max-keys=2&prefix=J`, {}),
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  );
  assert.equal(
    signatureOf(
      'PUT',
      `${base}/test%24file.text`,
      { Date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
      '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    ),
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  );
});

test('a URL is signed as in the documentation', () => {
  const url = presignedUrl(new URL(`${base}/test.txt`), { expiresSeconds: 86400 }, context);
  assert.equal(
    url.searchParams.get('X-Amz-Signature'),
    'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  );
});

test('names are encoded as S3 wants them', () => {
  assert.equal(encodeS3("a/b c!'()*~é"), 'a%2Fb%20c%21%27%28%29%2A~%C3%A9');
  assert.equal(encodeS3('a/b:c', true), 'a/b%3Ac');
});
