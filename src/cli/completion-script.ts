export const SHELLS: readonly string[] = ['bash', 'zsh', 'fish'];

/** A script that asks `gantry __complete` for the words; the table of commands is in one place only. */
export function completionScript(shell: string): string {
  switch (shell) {
    case 'bash':
      return BASH;
    case 'zsh':
      return ZSH;
    default:
      return FISH;
  }
}

const BASH = `# bash completion for gantry
_gantry() {
  local current=\${COMP_WORDS[COMP_CWORD]} line words=()
  # A colon is a word of its own in COMP_WORDS: the line is split by spaces instead.
  read -ra words <<< "\${COMP_LINE:0:COMP_POINT}"
  [[ \${COMP_LINE:COMP_POINT-1:1} == " " ]] && words+=("")
  current=\${words[-1]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default 2>/dev/null
      COMPREPLY+=($(compgen -f -- "$current"))
    else
      COMPREPLY+=("\${line%%$'\\t'*}")
    fi
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
  if [[ $current == *:* && \${COMP_WORDBREAKS} == *:* ]]; then
    local prefix=\${current%"\${current##*:}"} i
    for i in "\${!COMPREPLY[@]}"; do COMPREPLY[i]=\${COMPREPLY[i]#"$prefix"}; done
  fi
}
complete -F _gantry gantry
`;

const ZSH = `#compdef gantry
# zsh completion for gantry
_gantry() {
  local -a found
  local line
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      _files
    else
      found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe gantry found
}
if [ "$funcstack[1]" = "_gantry" ]; then
  _gantry "$@"
else
  compdef _gantry gantry
fi
`;

const FISH = `# fish completion for gantry
function __gantry_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c gantry -f -a '(__gantry_complete)'
`;
