### Texts for people. A text holds no markup. { $text } and the like are filled in by the program.

## The frame of all pages

nav-skip = Skip to the content
nav-trail = Where you are
nav-base = All resources
nav-metadata = Capabilities
nav-history = History
nav-actions = What you can do here
nav-pages = Pages of results
footer-api = This page shows what the FHIR API answered. Programs get JSON or XML from the same address.

## The front page

front-title = Welcome
front-what = This is a FHIR R4 server. It keeps health records and gives them to programs, and to you in this browser, through one API.
front-base = Base address
front-docs = Documentation
front-program = From a program
types-title = Resource types

## A resource

resource-narrative = Narrative
resource-content = Content
fact-version = Version
fact-updated = Last updated
fact-profile = Profile
action-current = Current version
action-version = Version { $version }
action-compartment = Related records
narrative-malformed = The narrative of this resource is not well-formed XHTML and is not shown.
narrative-long = The narrative of this resource is too long for this page.
json-cut = This is more than a page shows; it is cut here.
json-whole = All of it as JSON
json-more-bytes =
    { $count ->
        [one] { $count } more byte
       *[other] { $count } more bytes
    }

## A search or a history

title-base = All resources
title-history = History of { $text }
title-compartment = Records related to { $text }
bundle-total =
    { $count ->
        [one] { $count } match
       *[other] { $count } matches
    }
bundle-here =
    { $count ->
        [one] { $count } entry on this page
       *[other] { $count } entries on this page
    }
mode-include = included
page-first = First page
page-previous = Previous page
page-next = Next page
page-last = Last page

## The search form

form-title = Search
form-help = Several values in one field are separated by commas: one of them must match. Dates, numbers and quantities may begin with eq, ne, gt, lt, ge, le, sa, eb or ap.
form-modifier = Modifier
form-missing = is missing
form-present = is present
form-sort = Order
form-include = Include
form-count = Entries per page
form-submit = Search
form-reset = Clear the form

## Errors

issue-error = Error
issue-warning = Warning
issue-information = Note
issue-where = Where:
error-request-id = Number of this request, for those who run the server:
error-to-base = To all resources
status-done = Done
status-400 = This request cannot be understood
status-401 = Please sign in
status-403 = You may not do this
status-404 = There is nothing here
status-405 = This is not possible here
status-406 = This format is not available
status-409 = This conflicts with what is stored
status-410 = This was deleted
status-412 = A condition does not hold
status-413 = This is too much at once
status-414 = This address is too long
status-429 = Too many requests: please wait a moment
status-refused = This request was refused
status-500 = The server has failed
status-503 = The server is busy: please try again in a moment
status-504 = This took too long
