### Textes pour les personnes. Un texte ne contient pas de balises. { $text } et autres sont remplis par le programme.

## The frame of all pages

nav-skip = Aller au contenu
nav-trail = Où vous êtes
nav-base = Toutes les ressources
nav-metadata = Capacités
nav-history = Historique
nav-actions = Ce que vous pouvez faire ici
nav-pages = Pages de résultats
footer-api = Cette page montre la réponse de l’API FHIR. À la même adresse, les programmes reçoivent du JSON ou du XML.

## The front page

front-title = Bienvenue
front-what = Ceci est un serveur FHIR R4. Il conserve des dossiers de santé et les donne aux programmes, et à vous dans ce navigateur, par une seule API.
front-base = Adresse de base
front-docs = Documentation
front-program = Depuis un programme
types-title = Types de ressources

## A resource

resource-narrative = Texte narratif
resource-content = Contenu
fact-version = Version
fact-updated = Dernière mise à jour
fact-profile = Profil
action-current = Version actuelle
action-version = Version n° { $version }
action-compartment = Dossiers liés
narrative-malformed = Le texte narratif de cette ressource n’est pas du XHTML bien formé et n’est pas affiché.
narrative-long = Le texte narratif de cette ressource est trop long pour cette page.
json-cut = C’est plus que ce qu’une page affiche ; la suite est coupée.
json-whole = Tout en JSON
json-more-bytes =
    { $count ->
        [one] encore { $count } octet
       *[other] encore { $count } octets
    }

## A search or a history

title-base = Toutes les ressources
title-history = Historique de { $text }
title-compartment = Dossiers liés à { $text }
bundle-total =
    { $count ->
        [one] { $count } résultat
       *[other] { $count } résultats
    }
bundle-here =
    { $count ->
        [one] { $count } entrée sur cette page
       *[other] { $count } entrées sur cette page
    }
mode-include = inclus
page-first = Première page
page-previous = Page précédente
page-next = Page suivante
page-last = Dernière page

## The search form

form-title = Rechercher
form-help = Plusieurs valeurs dans un champ sont séparées par des virgules : l’une d’elles doit correspondre. Les dates, nombres et quantités peuvent commencer par eq, ne, gt, lt, ge, le, sa, eb ou ap.
form-modifier = Modificateur
form-missing = est absent
form-present = est présent
form-sort = Ordre
form-include = Inclure
form-count = Entrées par page
form-submit = Rechercher
form-reset = Effacer le formulaire

## Errors

issue-error = Erreur
issue-warning = Avertissement
issue-information = Remarque
issue-where = Où :
error-request-id = Numéro de cette requête, pour ceux qui gèrent le serveur :
error-to-base = Vers toutes les ressources
status-done = Fait
status-400 = Cette requête ne peut pas être comprise
status-401 = Veuillez vous connecter
status-403 = Vous n’avez pas le droit de faire cela
status-404 = Il n’y a rien ici
status-405 = Ce n’est pas possible ici
status-406 = Ce format n’est pas disponible
status-409 = Cela contredit ce qui est enregistré
status-410 = Ceci a été supprimé
status-412 = Une condition n’est pas remplie
status-413 = C’est trop en une fois
status-414 = Cette adresse est trop longue
status-429 = Trop de requêtes : veuillez patienter un instant
status-refused = Cette requête a été refusée
status-500 = Le serveur a eu une défaillance
status-503 = Le serveur est occupé : veuillez réessayer dans un instant
status-504 = Cela a pris trop de temps
