### Maandishi kwa watu. Hayana alama za HTML. { $text } na mengineyo hujazwa na programu.

## The frame of all pages

nav-skip = Nenda kwenye maudhui
nav-trail = Ulipo
nav-base = Rasilimali zote
nav-metadata = Uwezo wa seva
nav-history = Historia
nav-actions = Unachoweza kufanya hapa
nav-pages = Kurasa za matokeo
footer-api = Ukurasa huu unaonyesha jibu la API ya FHIR. Programu hupata JSON au XML kutoka anwani hiyo hiyo.

## The front page

front-title = Karibu
front-what = Hii ni seva ya FHIR R4. Inahifadhi kumbukumbu za afya na kuzitoa kwa programu, na kwako katika kivinjari hiki, kupitia API moja.
front-base = Anwani ya msingi
front-docs = Nyaraka
front-program = Kutoka kwenye programu
types-title = Aina za rasilimali

## A resource

resource-narrative = Maelezo
resource-content = Yaliyomo
fact-version = Toleo
fact-updated = Ilisasishwa mwisho
fact-profile = Wasifu
action-current = Toleo la sasa
action-version = Toleo la { $version }
action-compartment = Kumbukumbu zinazohusiana
narrative-malformed = Maelezo ya rasilimali hii si XHTML sahihi, kwa hiyo hayaonyeshwi.
narrative-long = Maelezo ya rasilimali hii ni marefu mno kwa ukurasa huu.
json-cut = Haya ni mengi kuliko ukurasa unavyoweza kuonyesha; yamekatwa hapa.
json-whole = Yote kwa JSON
json-more-bytes =
    { $count ->
        [one] baiti { $count } zaidi
       *[other] baiti { $count } zaidi
    }

## A search or a history

title-base = Rasilimali zote
title-history = Historia ya { $text }
title-compartment = Kumbukumbu zinazohusiana na { $text }
bundle-total =
    { $count ->
        [one] Tokeo { $count }
       *[other] Matokeo { $count }
    }
bundle-here =
    { $count ->
        [one] ingizo { $count } kwenye ukurasa huu
       *[other] maingizo { $count } kwenye ukurasa huu
    }
mode-include = imejumuishwa
page-first = Ukurasa wa kwanza
page-previous = Ukurasa uliotangulia
page-next = Ukurasa unaofuata
page-last = Ukurasa wa mwisho

## The search form

form-title = Tafuta
form-help = Thamani kadhaa katika sehemu moja hutenganishwa kwa koma: mojawapo lazima ilingane. Tarehe, namba na vipimo vinaweza kuanza na eq, ne, gt, lt, ge, le, sa, eb au ap.
form-modifier = Kirekebishi
form-missing = haipo
form-present = ipo
form-sort = Mpangilio
form-include = Jumuisha
form-count = Maingizo kwa ukurasa
form-submit = Tafuta
form-reset = Futa fomu

## Errors

issue-error = Hitilafu
issue-warning = Onyo
issue-information = Taarifa
issue-where = Mahali:
error-request-id = Namba ya ombi hili, kwa wanaoendesha seva:
error-to-base = Kwenye rasilimali zote
status-done = Imekamilika
status-400 = Ombi hili halieleweki
status-401 = Tafadhali ingia
status-403 = Huruhusiwi kufanya hivi
status-404 = Hakuna kitu hapa
status-405 = Hili haliwezekani hapa
status-406 = Muundo huu haupatikani
status-409 = Hili linapingana na kilichohifadhiwa
status-410 = Hiki kimefutwa
status-412 = Sharti halijatimizwa
status-413 = Hiki ni kingi mno kwa mara moja
status-414 = Anwani hii ni ndefu mno
status-429 = Maombi ni mengi mno: tafadhali subiri kidogo
status-refused = Ombi hili limekataliwa
status-500 = Seva imeshindwa
status-503 = Seva ina shughuli nyingi: tafadhali jaribu tena baada ya muda mfupi
status-504 = Hili limechukua muda mrefu mno
