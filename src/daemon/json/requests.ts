/** The shapes of the smaller requests. */
import type { AuthConfig } from '../../api/auth.ts';
import type { ExecCreateRequest, ExecStartRequest } from '../../api/exec.ts';
import type { TrashRestoreRequest } from '../../api/trash.ts';
import type { VolumeCreateRequest } from '../../api/volume.ts';
import { execSecret } from './secret.ts';
import { anything, bool, list, map, pair, string, struct, uint } from './shape.ts';

export const execCreate = struct<ExecCreateRequest>('container.ExecOptions', {
  User: string,
  Privileged: bool,
  Tty: bool,
  ConsoleSize: pair(uint),
  AttachStdin: bool,
  AttachStderr: bool,
  AttachStdout: bool,
  DetachKeys: string,
  Env: list(string),
  WorkingDir: string,
  Cmd: list(string),
  Secrets: list(execSecret),
});

export const execStart = struct<ExecStartRequest>('container.ExecStartOptions', {
  Detach: bool,
  Tty: bool,
  ConsoleSize: pair(uint),
});

export const trashRestore = struct<TrashRestoreRequest>('trash.RestoreRequest', { Ids: list(string) });

export const volumeCreate = struct<VolumeCreateRequest>('volume.CreateOptions', {
  Name: string,
  Driver: string,
  DriverOpts: map(string),
  Labels: map(string),
  ClusterVolumeSpec: map(anything),
});

export const authConfig = struct<AuthConfig>('registry.AuthConfig', {
  username: string,
  password: string,
  auth: string,
  email: string,
  serveraddress: string,
  identitytoken: string,
  registrytoken: string,
});

export const authConfigs = map(authConfig);
