import type { LoadedProject } from '../../compose/model/load.ts';
import { asDict, asText } from '../../compose/model/value.ts';
import { CommandError } from '../command.ts';
import { lockPathFor, neededLock, pinnedName } from './lock-file.ts';

/** Gives the services of a project that are not built their locked images. Throws a CommandError where one has no lock. */
export function pinServices({ files, model }: LoadedProject): void {
  const first = files.find((file) => file !== '-');
  if (first === undefined) throw new CommandError('--locked needs a compose file: one from stdin has no lock');
  const path = lockPathFor(first);
  const pins = neededLock(path);
  for (const service of Object.values(asDict(model['services'])).map(asDict)) {
    const image = asText(service['image']);
    if (service['build'] === undefined && image !== undefined) service['image'] = pinnedName(image, pins, path);
  }
}
