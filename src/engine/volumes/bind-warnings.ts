import type { HostConfig } from '../../api/container.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { parseBind, parseMode } from '../../volume/bind.ts';
import { isMissing } from './bind-source.ts';

/** What `-v` will do that its user may not have meant. */
export function bindWarnings(hostConfig: HostConfig, host: Pick<HostFacts, 'selinux'>): string[] {
  const warnings: string[] = [];
  for (const spec of hostConfig.Binds ?? []) {
    const { request, mode } = parseBind(spec, hostConfig.VolumeDriver);
    if (request.Type === 'bind' && isMissing(request.Source!)) {
      warnings.push(`The host path ${request.Source} does not exist: it is made, as an empty directory of root.`);
    }
    const relabel = parseMode(mode)?.relabel ?? '';
    if (relabel !== '' && host.selinux) {
      warnings.push(`Files are not relabelled for SELinux: mode ${relabel} of ${spec} is discarded.`);
    }
  }
  return warnings;
}
