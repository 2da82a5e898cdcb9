import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redirectTarget } from './http.ts';

test('a redirect may not lead to a scheme that protects less, nor take a login along in its address', () => {
  const secure = new URL('https://registry.example.com/v2/app/blobs/x');
  const plain = new URL('http://127.0.0.1:5000/v2/app/blobs/x');
  assert.equal(redirectTarget(secure, '/elsewhere?a=b').href, 'https://registry.example.com/elsewhere?a=b');
  assert.equal(redirectTarget(secure, 'https://cdn.example.com/x').href, 'https://cdn.example.com/x');
  assert.equal(redirectTarget(plain, 'https://cdn.example.com/x').href, 'https://cdn.example.com/x');
  assert.equal(redirectTarget(plain, 'http://127.0.0.1:5001/x').href, 'http://127.0.0.1:5001/x');
  assert.equal(redirectTarget(secure, 'https://ann:secret@cdn.example.com/x').href, 'https://cdn.example.com/x');
  for (const [from, location] of [
    [secure, 'http://registry.example.com/v2/app/blobs/x'],
    [secure, 'file:///etc/passwd'],
    [plain, 'ftp://127.0.0.1/x'],
    [plain, 'http://['],
  ] as const) {
    assert.throws(() => redirectTarget(from, location), { code: 'forbidden', message: /which is not followed/ });
  }
});
