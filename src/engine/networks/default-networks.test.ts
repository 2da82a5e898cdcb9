import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkRecord, NetworkStore } from '../../state/networks.ts';
import { addDefaultNetworks, type DefaultBridgeOptions } from './default-networks.ts';
import { subnetPools, type Subnets } from './subnets.ts';

const OPTIONS: DefaultBridgeOptions = {
  bridge: 'b0',
  bridgeAddress: undefined,
  mtu: 1500,
  communication: true,
  masquerade: true,
  ipv6: false,
  range: undefined,
  subnet6: undefined,
  publishAddress: '0.0.0.0',
};
const subnets = { free: () => ({ Subnet: '10.209.0.0/24', Gateway: '10.209.0.1' }) } as unknown as Subnets;

/** The default network's addresses, of an engine that had those before. */
function ipam(options: Partial<DefaultBridgeOptions>, before?: NetworkRecord['ipam']): NetworkRecord['ipam'] {
  const records = new Map<string, NetworkRecord>();
  const keep = (record: NetworkRecord): void => void records.set(record.name, record);
  const store = { byName: (name: string) => records.get(name), insert: keep, update: keep } as unknown as NetworkStore;
  if (before) {
    addDefaultNetworks(store, subnets, OPTIONS);
    keep({ ...records.get('bridge')!, ipam: before });
  }
  addDefaultNetworks(store, subnets, { ...OPTIONS, ...options });
  return records.get('bridge')!.ipam;
}

test('the default network’s subnet: named, a range, free, or as it was', () => {
  const free = { Subnet: '10.209.0.0/24', Gateway: '10.209.0.1' };
  const named = { Subnet: '10.207.0.0/24', Gateway: '10.207.0.9' };
  const bridgeAddress = '10.207.0.9/24';
  assert.deepEqual(ipam({}), [free]);
  assert.deepEqual(ipam({}, [named]), [named]);
  assert.deepEqual(ipam({ bridgeAddress }, [free]), [named]);
  const part = { ...named, IPRange: '10.207.0.128/25' };
  assert.deepEqual(ipam({ bridgeAddress, range: '10.207.0.128/25' }), [part]);
  assert.deepEqual(ipam({ range: '10.207.0.128/25' }, [named]), [part]);
  const alone = { Subnet: '10.209.0.64/26', Gateway: '10.209.0.65' };
  assert.deepEqual(ipam({ range: '10.209.0.64/26' }), [alone], 'new, without an address of its own');
  assert.deepEqual(ipam({ bridgeAddress: '10.207.0.1/31' }), [{ Subnet: '10.207.0.0/31', Gateway: '10.207.0.1' }]);
  assert.deepEqual(ipam({ bridgeAddress: '10.207.0.5/32' }), [{ Subnet: '10.207.0.5/32', Gateway: '10.207.0.5' }]);
});

test('addresses that no host can have, and pools that are smaller than their subnets, are refused', () => {
  for (const [options, message] of [
    [{ bridgeAddress: '10.207.0.0/24' }, /^failed to allocate gateway \(10\.207\.0\.0\): Address already in use$/],
    [{ bridgeAddress: '10.207.0.255/24' }, /^failed to allocate gateway \(10\.207\.0\.255\): Address already in use$/],
    [{ bridgeAddress: '0.0.0.0/0' }, /^failed to allocate gateway \(0\.0\.0\.0\): Address already in use$/],
    [{ bridgeAddress: 'fd00::1/64' }, /^failed to allocate gateway \(fd00::1\): .* IPv4 address/],
    [{ bridgeAddress: '10.207.0.1/24', range: '10.208.0.0/24' }, /^fixed-cidr 10\.208\.0\.0\/24 is not in/],
    [{ range: 'fd00::/64' }, /^fixed-cidr fd00::\/64 is not an IPv4 subnet$/],
  ] as const) {
    assert.throws(() => ipam(options), { code: 'invalid-argument', message });
  }
  assert.throws(() => subnetPools([{ base: '10.209.0.0/24', size: 16 }]), {
    message:
      /^network at index 0 \(10\.209\.0\.0\/24\) has a smaller prefix \(\/24\) than the target size of that pool/,
  });
  assert.throws(() => subnetPools([{ base: '10.209.0.0/24', size: 33 }]), { code: 'invalid-argument' });
});
