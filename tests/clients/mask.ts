/** Puts marks in the place of what differs from run to run: ids, times, addresses, generated names, temporary paths. */
export function mask(text: string, prefix: string, temporary: string): string {
  return text
    .replaceAll(temporary, '<tmp>')
    .replaceAll(prefix, '<name>')
    .replace(/\b[0-9a-f]{64}\b/g, '<id>')
    .replace(/\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{12}\b/g, '<short id>')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, '<time>')
    .replace(
      /\b(About a minute|About an hour|Less than a second|\d+ (seconds?|minutes?|hours?|days?|weeks?|months?|years?))( ago)?\b/g,
      '<duration>$3',
    )
    .replace(/\b\d+(\.\d+)?(kB|MB|GB)\b/g, '<size>')
    .replace(/\b172\.\d+\.\d+\.\d+\b/g, '<address>')
    .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, '<mac>')
    .replace(/"Pid":\d+/g, '"Pid":<pid>')
    .replace(/\b(crun|runc) create failed/g, '<runtime> create failed')
    .replace(/"Runtime":"(crun|runc)"/g, '"Runtime":"<runtime>"')
    .replace(/\/tmp\/tmp\.\w+/g, '<tmp>');
}
