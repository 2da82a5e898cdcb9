import type { HealthConfig } from '../../api/container.ts';

export interface HealthFlags {
  readonly 'health-cmd': string;
  readonly 'health-interval': number;
  readonly 'health-timeout': number;
  readonly 'health-retries': number;
  readonly 'health-start-period': number;
  readonly 'health-start-interval': number;
  readonly 'no-healthcheck': boolean;
}

/** The health check of the flags, in nanoseconds; undefined when they say nothing. Throws an Error in docker's words. */
export function parseHealth(flags: HealthFlags): HealthConfig | undefined {
  const names = [
    'health-interval',
    'health-timeout',
    'health-retries',
    'health-start-period',
    'health-start-interval',
  ] as const;
  const some = flags['health-cmd'] !== '' || names.some((name) => flags[name] !== 0);
  if (flags['no-healthcheck']) {
    if (some) throw new Error('--no-healthcheck conflicts with --health-* options');
    return { Test: ['NONE'] };
  }
  if (!some) return undefined;
  for (const name of names) if (flags[name] < 0) throw new Error(`--${name} cannot be negative`);
  return {
    ...(flags['health-cmd'] === '' ? {} : { Test: ['CMD-SHELL', flags['health-cmd']] }),
    ...(flags['health-interval'] === 0 ? {} : { Interval: flags['health-interval'] }),
    ...(flags['health-timeout'] === 0 ? {} : { Timeout: flags['health-timeout'] }),
    ...(flags['health-start-period'] === 0 ? {} : { StartPeriod: flags['health-start-period'] }),
    ...(flags['health-start-interval'] === 0 ? {} : { StartInterval: flags['health-start-interval'] }),
    ...(flags['health-retries'] === 0 ? {} : { Retries: flags['health-retries'] }),
  };
}
