import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { OperatingSystem } from '../../api/inventory.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { zipEntries } from '../zip.ts';
import { DebianTracker, type TrackerDocument } from './debian-tracker.ts';
import type { AdvisorySource } from './finding.ts';
import { OsvDatabase, type OsvRecord } from './osv.ts';

const LARGEST_RECORD = 64 << 20;

/**
 * Advisories from files: a directory of OSV records, OSV's `all.zip`, a file of one record, of a list or of one a line,
 * or the JSON of Debian's security tracker; each may be gzipped. Throws `invalid-argument` for anything else.
 */
export function readDatabase(path: string, os: OperatingSystem | undefined): AdvisorySource {
  try {
    if (statSync(path).isDirectory()) return new OsvDatabase(directoryRecords(path), os);
    const raw = readFileSync(path);
    const bytes = raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw;
    if (bytes.subarray(0, 2).toString('latin1') === 'PK') return new OsvDatabase(zipRecords(bytes), os);
    return fromJson(bytes.toString('utf8'), os);
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError('invalid-argument', `advisories in ${path}: ${errorMessage(error)}`);
  }
}

function fromJson(text: string, os: OperatingSystem | undefined): AdvisorySource {
  const first = text.slice(0, text.indexOf('\n') < 0 ? undefined : text.indexOf('\n'));
  const lines = isJson(first) && text.trim() !== first.trim();
  const value: unknown = lines
    ? text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => JSON.parse(line) as unknown)
    : JSON.parse(text);
  if (Array.isArray(value)) return new OsvDatabase(value as OsvRecord[], os);
  if (typeof value === 'object' && value !== null && 'affected' in value)
    return new OsvDatabase([value as OsvRecord], os);
  if (isTracker(value)) return new DebianTracker(value, os);
  throw new EngineError('invalid-argument', 'neither records of OSV nor the JSON of Debian’s security tracker');
}

function isJson(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}

function isTracker(value: unknown): value is TrackerDocument {
  if (typeof value !== 'object' || value === null) return false;
  const [source] = Object.values(value) as unknown[];
  const [cve] = typeof source === 'object' && source !== null ? (Object.values(source) as unknown[]) : [];
  return typeof cve === 'object' && cve !== null && 'releases' in cve;
}

function* directoryRecords(directory: string): Generator<OsvRecord> {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.json')) continue;
    yield JSON.parse(readFileSync(join(entry.parentPath, entry.name), 'utf8')) as OsvRecord;
  }
}

function* zipRecords(bytes: Uint8Array): Generator<OsvRecord> {
  for (const entry of zipEntries(bytes)) {
    if (!basename(entry.name).endsWith('.json')) continue;
    yield JSON.parse(Buffer.from(entry.read(LARGEST_RECORD)).toString('utf8')) as OsvRecord;
  }
}
