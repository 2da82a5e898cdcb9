import { DOCKER_HUB } from '../credentials.ts';

/** The key of a registry's credentials: its host, without scheme and path. */
export function normalizeServer(server: string | undefined): string {
  const hub = [undefined, '', 'docker.io', 'index.docker.io', 'registry-1.docker.io', DOCKER_HUB];
  if (hub.includes(server)) return DOCKER_HUB;
  return server!.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}
