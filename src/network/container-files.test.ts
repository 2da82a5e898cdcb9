import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostsText, isReachableServer, mergeDns, parseResolvConf, resolvConfText } from './container-files.ts';

const host = parseResolvConf(
  '# made by hand\nnameserver 127.0.0.53\nnameserver 10.0.0.1 ; office\nsearch old.example\ndomain new.example\noptions ndots:2 edns0\n',
);

test('resolv.conf is read as the resolver reads it', () => {
  assert.deepEqual(host, {
    nameservers: ['127.0.0.53', '10.0.0.1'],
    search: ['new.example'],
    options: ['ndots:2', 'edns0'],
  });
  assert.deepEqual(host.nameservers.filter(isReachableServer), ['10.0.0.1']);
});

test('what a container asks for stands in front of what the host has', () => {
  const none = { servers: [], search: [], options: [] };
  assert.deepEqual(mergeDns(host, none), host);
  assert.deepEqual(mergeDns(host, { ...none, search: ['.'] }).search, []);
  const merged = mergeDns(host, { servers: ['9.9.9.9'], search: ['a.example', 'b.example'], options: ['rotate'] });
  assert.match(resolvConfText(merged), /\nnameserver 9\.9\.9\.9\nsearch a\.example b\.example\noptions rotate\n$/);
});

test('hosts: local names, others, its own', () => {
  const text = hostsText({
    extra: [{ address: '1.2.3.4', names: ['db'] }],
    own: [{ address: '172.17.0.2', names: ['web.example', 'web'] }],
  });
  assert.match(text, /^127\.0\.0\.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n/);
  assert.match(text, /\n1\.2\.3\.4\tdb\n172\.17\.0\.2\tweb\.example web\n$/);
});
