import { ROOTLESS_DIFFERENCES } from '../rootless/client-differences.ts';
import { clientSuite } from './suite.ts';

/** With GANTRY_TEST_ROOTLESS=1 against an engine of an unprivileged user; a part of that is in `tests/rootless`. */
const rootless = process.env['GANTRY_TEST_ROOTLESS'] === '1';

clientSuite({
  title: 'docker CLI as against dockerd',
  ...(rootless ? { rootless, differences: ROOTLESS_DIFFERENCES } : {}),
});
