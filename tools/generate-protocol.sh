#!/bin/sh
# Makes src/buildkit/protocol/*_pb.ts from the .proto files beside them, with protobuf's generator for TypeScript.
# Needed only after a change of a .proto file: what it makes is committed.
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/.gantry:$PATH"
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
node "$(readlink -f "$(command -v npm)")" install --silent --ignore-scripts --no-audit --no-fund --prefix "$tools" \
  @bufbuild/buf@1.75.0 @bufbuild/protoc-gen-es@2.17.0 >/dev/null
cat >"$tools/buf.gen.yaml" <<EOF
version: v2
plugins:
  - local: $tools/node_modules/.bin/protoc-gen-es
    out: src/buildkit/protocol
    opt: [target=ts, import_extension=ts, erasable_syntax=true]
EOF
"$tools/node_modules/.bin/buf" generate src/buildkit/protocol --template "$tools/buf.gen.yaml"
node_modules/.bin/oxfmt src/buildkit/protocol
