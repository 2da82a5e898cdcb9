import { clientSuite } from '../clients/suite.ts';
import { ROOTLESS_DIFFERENCES } from './client-differences.ts';

/** Every case that differs, and one of nine of the rest: the whole suite runs with GANTRY_TEST_ROOTLESS=1. */
clientSuite({
  title: 'docker CLI against an engine without root',
  rootless: true,
  differences: ROOTLESS_DIFFERENCES,
  chosen: (name, index) => ROOTLESS_DIFFERENCES[name] !== undefined || index % 9 === 0,
});
