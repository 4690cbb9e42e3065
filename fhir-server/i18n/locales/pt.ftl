### Textos para pessoas. Um texto não contém marcação. { $text } e semelhantes são preenchidos pelo programa.

## The frame of all pages

nav-skip = Ir para o conteúdo
nav-trail = Onde está
nav-base = Todos os recursos
nav-metadata = Capacidades
nav-history = Histórico
nav-actions = O que pode fazer aqui
nav-pages = Páginas de resultados
footer-api = Esta página mostra a resposta da API FHIR. No mesmo endereço, os programas recebem JSON ou XML.

## The front page

front-title = Bem-vindo
front-what = Este é um servidor FHIR R4. Guarda registos de saúde e fornece-os aos programas, e a si neste navegador, através de uma única API.
front-base = Endereço de base
front-docs = Documentação
front-program = A partir de um programa
types-title = Tipos de recursos

## A resource

resource-narrative = Texto narrativo
resource-content = Conteúdo
fact-version = Versão
fact-updated = Última atualização
fact-profile = Perfil
action-current = Versão atual
action-version = Versão { $version }
action-compartment = Registos relacionados
narrative-malformed = O texto narrativo deste recurso não é XHTML bem formado e não é mostrado.
narrative-long = O texto narrativo deste recurso é demasiado longo para esta página.
json-cut = Isto é mais do que uma página mostra; está cortado aqui.
json-whole = Tudo em JSON
json-more-bytes =
    { $count ->
        [one] mais { $count } byte
       *[other] mais { $count } bytes
    }

## A search or a history

title-base = Todos os recursos
title-history = Histórico de { $text }
title-compartment = Registos relacionados com { $text }
bundle-total =
    { $count ->
        [one] { $count } resultado
       *[other] { $count } resultados
    }
bundle-here =
    { $count ->
        [one] { $count } entrada nesta página
       *[other] { $count } entradas nesta página
    }
mode-include = incluído
page-first = Primeira página
page-previous = Página anterior
page-next = Página seguinte
page-last = Última página

## The search form

form-title = Pesquisar
form-help = Vários valores num campo são separados por vírgulas: um deles tem de corresponder. Datas, números e quantidades podem começar por eq, ne, gt, lt, ge, le, sa, eb ou ap.
form-modifier = Modificador
form-missing = está em falta
form-present = está presente
form-sort = Ordem
form-include = Incluir
form-count = Entradas por página
form-submit = Pesquisar
form-reset = Limpar o formulário

## Errors

issue-error = Erro
issue-warning = Aviso
issue-information = Nota
issue-where = Onde:
error-request-id = Número deste pedido, para quem gere o servidor:
error-to-base = Para todos os recursos
status-done = Feito
status-400 = Não é possível compreender este pedido
status-401 = Inicie sessão, por favor
status-403 = Não tem permissão para fazer isto
status-404 = Não há nada aqui
status-405 = Isto não é possível aqui
status-406 = Este formato não está disponível
status-409 = Isto está em conflito com o que está guardado
status-410 = Isto foi eliminado
status-412 = Uma condição não se verifica
status-413 = É demasiado de uma só vez
status-414 = Este endereço é demasiado longo
status-429 = Demasiados pedidos: aguarde um momento, por favor
status-refused = Este pedido foi recusado
status-500 = O servidor falhou
status-503 = O servidor está ocupado: tente novamente dentro de momentos
status-504 = Isto demorou demasiado
