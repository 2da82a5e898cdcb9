import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardDrops } from './host-firewall.ts';

const ruleset = (rules: string) => `table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
	}

	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		${rules}
	}
}
table inet gantry_x {
	chain forwarding {
		type filter hook forward priority filter; policy drop;
		iifname "gantry0" oifname "gantry0" accept
	}
}
`;

test('a policy of drop is found, unless its table knows our bridge', () => {
  const found = [{ table: 'ip filter', chain: 'FORWARD' }];
  assert.deepEqual(forwardDrops(ruleset('counter'), 'gantry0', 'gantry_x'), found);
  assert.deepEqual(forwardDrops(ruleset('iifname "docker0" accept'), 'gantry0', 'gantry_x'), found);
  assert.deepEqual(forwardDrops(ruleset('iifname "gantry0" counter accept'), 'gantry0', 'gantry_x'), []);
  assert.deepEqual(forwardDrops('', 'gantry0', 'gantry_x'), []);
});
