import { fluentd } from './fluentd.ts';
import { gelf } from './gelf.ts';
import { journald } from './journald.ts';
import type { LogDriver } from './log-sink.ts';
import { splunk } from './splunk.ts';
import { syslog } from './syslog.ts';

/** Drivers that send what is printed to a server, by the name that `--log-driver` has for them. */
export const LOG_DRIVERS: ReadonlyMap<string, LogDriver> = new Map([
  ['fluentd', fluentd],
  ['gelf', gelf],
  ['journald', journald],
  ['splunk', splunk],
  ['syslog', syslog],
]);
