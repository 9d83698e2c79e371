# Bash completion for inference-router(1). The program itself lists its options and commands.
_inference_router() {
  local word=$2 before=$3
  [ "$before" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}  # bash splits --config=FILE into three words
  case $before in
    --config)
      COMPREPLY=($(compgen -f -X '!*.y*ml' -- "$word") $(compgen -d -- "$word"))
      return
      ;;
    --[a-z]*-name | --namespace) return ;;
    schema)
      COMPREPLY=($(compgen -W "$("$1" schema 2>&1 | sed -nE '/NAME is one of:/{s/.*: //;s/,//g;p}')" -- "$word"))
      return
      ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$("$1" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*')" -- "$word")) ;;
    *)
      if [ "${COMP_WORDS[1]}" = convert ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMPREPLY=($(compgen -f -X '!*.y*ml' -- "$word") $(compgen -d -- "$word"))
      else
        COMPREPLY=($(compgen -W "$("$1" --help 2>/dev/null | sed -nE 's/^  inference-router ([a-z]+) .*/\1/p')" -- "$word"))
      fi
      ;;
  esac
}
complete -o filenames -F _inference_router inference-router
