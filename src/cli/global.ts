import { bool, list, string, type Flags, type FlagValues } from './flag.ts';

/** Flags before the command. */
export const GLOBAL_FLAGS = {
  config: string('Location of client config files', { defaultText: '"~/.docker"', complete: 'file' }),
  context: string(
    'Name of the context to use to connect to the engine (overrides DOCKER_HOST and the context set with "gantry context use")',
    { short: 'c', complete: 'context' },
  ),
  debug: bool('Enable debug mode', { short: 'D' }),
  host: list('Engine socket to connect to', { short: 'H' }),
  'log-level': string('Set the logging level ("debug", "info", "warn", "error", "fatal")', {
    short: 'l',
    initial: 'info',
    complete: ['debug', 'info', 'warn', 'error', 'fatal'],
  }),
  'no-autostart': bool('Do not start the engine when none answers'),
  tls: bool('Use TLS; implied by --tlsverify'),
  tlscacert: string('Trust certs signed only by this CA', { defaultText: '"~/.docker/ca.pem"', complete: 'file' }),
  tlscert: string('Path to TLS certificate file', { defaultText: '"~/.docker/cert.pem"', complete: 'file' }),
  tlskey: string('Path to TLS key file', { defaultText: '"~/.docker/key.pem"', complete: 'file' }),
  tlsverify: bool('Use TLS and verify the remote'),
  version: bool('Print version information and quit', { short: 'v' }),
} satisfies Flags;

export type GlobalFlags = FlagValues<typeof GLOBAL_FLAGS>;
