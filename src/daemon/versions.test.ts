import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerCreateRequest, ContainerInspect, ContainerSummary } from '../api/container.ts';
import type { ImageInspect, ImageSummary } from '../api/image.ts';
import type { SystemInfo } from '../api/system.ts';
import { splitVersion } from './version.ts';
import {
  containerInspect,
  containerSummary,
  imageInspect,
  imageSummary,
  systemInfo,
  upgradeContainerCreate,
} from './versions.ts';

test('versions are compared as numbers, the prefix is optional', () => {
  assert.deepEqual(splitVersion('/v1.43/info'), { version: 43, path: '/info' });
  assert.deepEqual(splitVersion('/info'), { version: 51, path: '/info' });
  assert.deepEqual(splitVersion('/volumes/v1.2'), { version: 51, path: '/volumes/v1.2' });
  assert.throws(() => splitVersion('/v1.9/info'), /too old/);
  assert.throws(() => splitVersion('/v1.100/info'), /too new/);
  assert.throws(() => splitVersion('/v1..2/info'), /too old/);
});

test('old create requests get the defaults of their day', () => {
  const upgraded = (request: ContainerCreateRequest, version: number): ContainerCreateRequest => {
    upgradeContainerCreate(request, version);
    return request;
  };
  const mounts = (): ContainerCreateRequest => ({
    HostConfig: { Mounts: [{ Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true }], Annotations: { a: 'b' } },
  });
  const old = upgraded(mounts(), 39);
  assert.equal(old.HostConfig?.IpcMode, 'shareable');
  assert.equal(old.HostConfig?.CgroupnsMode, 'host');
  assert.equal(old.HostConfig?.Annotations, undefined);
  assert.deepEqual(old.HostConfig?.Mounts?.[0]?.BindOptions, { ReadOnlyNonRecursive: true });
  const current = upgraded(mounts(), 51);
  assert.equal(current.HostConfig?.IpcMode, undefined);
  assert.deepEqual(current.HostConfig?.Annotations, { a: 'b' });
  assert.equal(current.HostConfig?.Mounts?.[0]?.BindOptions, undefined);
  assert.throws(
    () => upgraded({ HostConfig: { Mounts: [{ Type: 'image', Source: 'x', Target: '/x' }] } }, 47),
    /^EngineError: Mount type "Image" needs API v1\.48 or newer$/,
  );
  assert.throws(
    () => upgraded({ HostConfig: { Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { Subpath: 'a' } }] } }, 44),
    /VolumeOptions\.Subpath needs API v1\.45 or newer/,
  );
  assert.throws(
    () => upgraded({ MacAddress: '02:00:00:00:00:01', HostConfig: { NetworkMode: 'host' } }, 43),
    /conflicting options: mac-address and the network mode/,
  );
  const mac = upgraded({ MacAddress: '02:00:00:00:00:01', HostConfig: { NetworkMode: 'net' } }, 43);
  assert.equal(mac.NetworkingConfig?.EndpointsConfig?.['net']?.MacAddress, '02:00:00:00:00:01');
});

test('image documents', () => {
  const summary: ImageSummary = {
    Id: 'sha256:1',
    ParentId: '',
    RepoTags: [],
    RepoDigests: [],
    Created: 1,
    Size: 7,
    SharedSize: -1,
    Labels: null,
    Containers: 2,
    Descriptor: { mediaType: 'm', digest: 'sha256:1', size: 1 },
  };
  assert.deepEqual(imageSummary(summary, 51), summary);
  const old = imageSummary(summary, 42) as ImageSummary;
  assert.deepEqual(old.RepoTags, ['<none>:<none>']);
  assert.equal(old.VirtualSize, 7);
  assert.equal(old.Containers, -1);
  assert.equal(old.Descriptor, undefined);

  const inspect: ImageInspect = {
    Id: 'sha256:1',
    RepoTags: [],
    RepoDigests: [],
    Parent: '',
    Comment: '',
    DockerVersion: '',
    Author: '',
    Config: { Cmd: ['sh'] },
    Architecture: 'amd64',
    Os: 'linux',
    Size: 7,
    GraphDriver: { Name: 'overlay2', Data: null },
    RootFS: { Type: 'layers' },
    Metadata: { LastTagTime: '0001-01-01T00:00:00Z' },
  };
  assert.deepEqual(imageInspect(inspect, 51), inspect);
  // docker-compose 1.29 reads it, and ends without.
  assert.ok('ContainerConfig' in (imageInspect(inspect, 44) as object));
  assert.ok(!('ContainerConfig' in (imageInspect(inspect, 45) as object)));
  assert.equal((imageInspect(inspect, 49) as { Config: { Hostname: string; Cmd: string[] } }).Config.Hostname, '');
  assert.deepEqual((imageInspect(inspect, 49) as { Config: { Cmd: string[] } }).Config.Cmd, ['sh']);
});

test('container documents', () => {
  const document = {
    Id: 'a'.repeat(64),
    Config: { Image: 'x' },
    NetworkSettings: {
      MacAddress: '',
      Networks: {
        bridge: { Aliases: null, GwPriority: 0, MacAddress: '02:00:00:00:00:01' },
        mine: { Aliases: ['web'], GwPriority: 0 },
      },
    },
    ImageManifestDescriptor: { mediaType: 'm', digest: 'sha256:1', size: 1 },
  } as unknown as ContainerInspect;
  type Networks = Record<string, { Aliases: string[] | null; GwPriority?: number }>;
  const networks = (version: number): Networks =>
    ({ ...(containerInspect(document, version) as ContainerInspect).NetworkSettings.Networks }) as Networks;
  assert.equal(networks(51)['mine']?.GwPriority, 0);
  assert.deepEqual(networks(45)['mine']?.Aliases, ['web']);
  assert.deepEqual(networks(44)['mine']?.Aliases, ['web', 'a'.repeat(12)]);
  assert.equal(networks(44)['bridge']?.Aliases, null);
  assert.equal((containerInspect(document, 43) as ContainerInspect).Config.MacAddress, '02:00:00:00:00:01');
  assert.equal((containerInspect(document, 47) as ContainerInspect).ImageManifestDescriptor, undefined);
  const summary = { HostConfig: { NetworkMode: 'x', Annotations: { a: 'b' } } } as unknown as ContainerSummary;
  assert.deepEqual((containerSummary(summary, 45) as ContainerSummary).HostConfig, { NetworkMode: 'x' });
});

test('info', () => {
  const info = {
    SecurityOptions: ['name=seccomp,profile=builtin', 'name=cgroupns'],
    Runtimes: { crun: { path: 'crun', status: {} } },
    RuncCommit: { ID: 'x' },
    FirewallBackend: { Driver: 'nftables' },
  } as unknown as SystemInfo;
  assert.deepEqual(systemInfo(info, 51), info);
  const old = systemInfo(info, 24) as Record<string, unknown>;
  assert.deepEqual(old['SecurityOptions'], ['seccomp', 'cgroupns']);
  assert.deepEqual(old['Runtimes'], { crun: { path: 'crun' } });
  assert.deepEqual(old['RuncCommit'], { ID: 'x', Expected: 'x' });
  assert.equal(old['FirewallBackend'], undefined);
  assert.equal(old['KernelMemory'], true);
});
