import type { Volume } from '../../api/volume.ts';
import { labelFields } from './labels.ts';
import type { Row, RowFormat } from './rows.ts';
import { humanSize } from './units.ts';

export const VOLUME_FORMAT: RowFormat = {
  columns: ['Driver', 'Name'],
  headers: { Name: 'VOLUME NAME' },
  typeName: '*formatter.volumeContext',
  quiet: 'Name',
};

/** A line of `volume ls`. */
export function volumeRow(volume: Volume): Row {
  return {
    Name: volume.Name,
    Driver: volume.Driver,
    Scope: volume.Scope,
    Mountpoint: volume.Mountpoint,
    ...labelFields(volume.Labels),
    Links: volume.UsageData ? String(volume.UsageData.RefCount) : 'N/A',
    Size: volume.UsageData ? humanSize(volume.UsageData.Size) : 'N/A',
    Group: 'N/A',
    Availability: 'N/A',
    Status: 'N/A',
  };
}
