/** The shapes of what is asked about secrets. */
import type {
  ExecSecret,
  SecretReference,
  SecretRotateRequest,
  SecretScanRequest,
  SecretSpec,
} from '../../api/secret.ts';
import { bool, map, nullable, string, struct, uint } from './shape.ts';

const driver = nullable(
  struct<NonNullable<NonNullable<SecretSpec['Driver']>>>('swarm.Driver', { Name: string, Options: map(string) }),
);

export const secretSpec = struct<SecretSpec>('swarm.SecretSpec', {
  Name: string,
  Labels: map(string),
  Data: string,
  Driver: driver as never,
  Templating: driver as never,
});

export const secretReference = struct<SecretReference>('swarm.SecretReference', {
  SecretID: string,
  SecretName: string,
  File: struct<NonNullable<SecretReference['File']>>('swarm.SecretReferenceFileTarget', {
    Name: string,
    UID: string,
    GID: string,
    Mode: uint,
  }),
});

export const execSecret = struct<ExecSecret>('gantry.ExecSecret', {
  SecretName: string,
  Env: string,
  UID: string,
  GID: string,
  Mode: uint,
});

export const secretRotate = struct<SecretRotateRequest>('gantry.SecretRotateRequest', {
  Data: string,
  Reload: bool,
  Signal: string,
});

export const secretScan = struct<SecretScanRequest>('gantry.SecretScanRequest', { Container: string, Image: string });
