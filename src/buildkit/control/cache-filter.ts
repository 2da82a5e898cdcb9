import type { MessageInitShape } from '@bufbuild/protobuf';
import { EngineError } from '../../base/errors.ts';
import type { UsageRecordSchema } from '../protocol/control_pb.ts';

type UsageRecord = MessageInitShape<typeof UsageRecordSchema>;

const FIELDS: Readonly<Record<string, (record: UsageRecord) => string | boolean>> = {
  id: ({ ID = '' }) => ID,
  type: ({ RecordType = '' }) => RecordType,
  description: ({ Description = '' }) => Description,
  inuse: ({ InUse = false }) => InUse,
  mutable: ({ Mutable = false }) => Mutable,
  immutable: ({ Mutable = false }) => !Mutable,
  shared: ({ Shared = false }) => Shared,
  private: ({ Shared = false }) => !Shared,
};

/**
 * The filters of `du` and `prune`: each is a list of conditions that all hold (`type==regular,inuse`), of several one has
 * to. Throws `invalid-argument` for what it does not know, so that nothing is deleted by mistake.
 */
export function readCacheFilter(filters: readonly string[]): (record: UsageRecord) => boolean {
  const alternatives = filters.filter((filter) => filter !== '').map((filter) => filter.split(',').map(readCondition));
  return (record) => alternatives.length === 0 || alternatives.some((all) => all.every((holds) => holds(record)));
}

function readCondition(text: string): (record: UsageRecord) => boolean {
  const match = /^([a-z]+)(?:(==|!=|~=)(.*))?$/s.exec(text.trim());
  const read = match && FIELDS[match[1]!];
  if (!read) {
    throw new EngineError(
      'invalid-argument',
      `invalid filter ${JSON.stringify(text)}: it takes ${Object.keys(FIELDS).join(', ')}`,
    );
  }
  const [, , operator, wanted = ''] = match;
  const value = wanted.replace(/^(["'])(.*)\1$/s, '$2');
  if (operator === undefined) return (record) => read(record) === true;
  if (operator === '~=') return (record) => String(read(record)).includes(value);
  return (record) => (String(read(record)) === value) === (operator === '==');
}

/**
 * The same filters as the engine's own prune takes them: one list of equalities. Throws `unimplemented` for what cannot be
 * said so, since nothing may be deleted that was not meant.
 */
export function pruneFilters(filters: readonly string[]): Map<string, string[]> {
  const given = filters.filter((filter) => filter !== '');
  if (given.length > 1)
    throw new EngineError('unimplemented', 'only one list of filters can be pruned by: join them with commas');
  const found = new Map<string, string[]>();
  for (const condition of given.flatMap((filter) => filter.split(','))) {
    const match = /^([a-z]+)(?:[=~]=(.*))?$/s.exec(condition.trim());
    // A part of an id is what the engine takes too; of other fields it wants the whole.
    if (!match || !FIELDS[match[1]!] || (condition.includes('~=') && match[1] !== 'id'))
      throw new EngineError(
        'unimplemented',
        `the filter ${JSON.stringify(condition)} cannot be pruned by: use name==value`,
      );
    const [, name = '', value = 'true'] = match;
    found.set(name, [value.replace(/^(["'])(.*)\1$/s, '$2')]);
  }
  return found;
}
