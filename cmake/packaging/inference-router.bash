# Completion of bash for inference-router(1).
_inference_router() {
  local word=$2 before=$3
  case $before in
    --config) COMPREPLY=($(compgen -f -X '!*.y*ml' -- "$word") $(compgen -d -- "$word")); return ;;
    --namespace | --endpoint-name) return ;;
  esac
  if [ "${COMP_WORDS[1]}" = convert ] && [ "$COMP_CWORD" -gt 1 ]; then
    case $word in
      -*) COMPREPLY=($(compgen -W '--namespace --endpoint-name' -- "$word")) ;;
      *) COMPREPLY=($(compgen -f -X '!*.y*ml' -- "$word") $(compgen -d -- "$word")) ;;
    esac
    return
  fi
  COMPREPLY=($(compgen -W '--config --check --version --help convert' -- "$word"))
}
complete -o filenames -F _inference_router inference-router
