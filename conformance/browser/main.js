// The pages that people see, in Chromium. Exit status 1 when one of them is not as it should be.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const base = process.env.SUBJECT
const origin = new URL(base).origin
const root = new URL(base).pathname
const run = `b${Date.now().toString(36)}`
const screenshots = process.env.SCREENSHOTS

const screens = { desk: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } }
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']

// What an attacker would store; `alert` is noticed.
const nasty = `"><script>alert(1)</script><img src=x onerror=alert(1)>'onmouseover='alert(1)`
const narrative = `<div xmlns="http://www.w3.org/1999/xhtml"><p style="position:fixed;inset:0" onclick="alert(1)">Seen at
  <b>${run}</b></p><script>alert(1)</script><a href="javascript:alert(1)">press</a> <a href="Organization/${run}">clinic</a>
  <img src="https://example.org/track.png" alt="a drawing"/><table><tr><th>Weight</th><td>63 kg</td></tr></table></div>`

await data()
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags })
try {
  for (const [name, viewport] of Object.entries(screens)) {
    await visit(name, { viewport })
  }
  await visit('noscript', { viewport: screens.desk, javaScriptEnabled: false })
  await languages()
} finally {
  await browser.close()
}
console.log('all pages are as they should be')

// Patients of a family of this run, and what they refer to.
async function data() {
  await put({ resourceType: 'Organization', id: run, name: `Kituo cha afya ${run}` })
  for (const n of [1, 2, 3]) {
    await put({
      resourceType: 'Patient',
      id: `${run}-${n}`,
      text: { status: 'additional', div: narrative },
      name: [{ family: run, given: [n === 1 ? 'Wanjiku' : n === 2 ? 'عائشة' : nasty] }],
      gender: 'female',
      birthDate: `199${n}-04-18`,
      managingOrganization: { reference: `Organization/${run}` },
      photo: [{ contentType: nasty, url: 'javascript:alert(1)', title: nasty }],
      extension: [{ url: nasty, valueString: nasty }, { url: 'http://example.org/x', valueUrl: 'javascript:alert(1)' }]
    })
  }
}

async function put(resource) {
  const answer = await fetch(`${base}/${resource.resourceType}/${resource.id}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/fhir+json' },
    body: JSON.stringify(resource)
  })
  assert.ok(answer.ok, await answer.text())
}

// A walk as a person takes it, by clicks.
async function visit(name, options) {
  const { page, look } = await open(name, options)
  await page.goto(`${origin}/`)
  await look('front')
  await page.locator('.facts a').first().click()
  await page.waitForURL(`${base}/`)
  await look('base')
  await page.locator('.types a', { hasText: /^Patient$/ }).click()
  await page.waitForURL(`${base}/Patient`)

  await page.locator('details.search > summary').click()
  await page.locator('input[name=family]').fill(run)
  await page.locator('select[name="-family"]').selectOption('exact')
  await page.locator('input[name=_count]').fill('2')
  await page.locator('input[name=_sort]').fill('-birthdate')
  await look('form')
  await page.locator('details.search button').click()
  await page.waitForURL((url) => url.href === `${base}/Patient?family:exact=${run}&_sort=-birthdate&_count=2`)
  assert.equal(await page.locator('.entries > li').count(), 2)
  assert.match(await page.locator('.count').textContent(), /2/)
  await look('search')
  await page.locator('a[rel=next]').first().click()
  await page.locator('a[rel=prev]').first().waitFor()
  assert.equal(await page.locator('.entries > li').count(), 1)
  await look('next')
  await page.locator('a[rel=prev]').first().click()
  await page.locator('a[rel=next]').first().waitFor()
  assert.equal(await page.locator('.entries > li').count(), 2)

  await page.locator('.entries .name a').first().click()
  await page.waitForURL(`${base}/Patient/${run}-3`)
  assert.equal(await page.locator('h1').textContent(), `Patient/${run}-3`)
  assert.equal(await page.locator('.narrative b').textContent(), run)
  await look('resource')
  await page.locator('.json a', { hasText: `Organization/${run}` }).click()
  await page.waitForURL(`${base}/Organization/${run}`)
  await page.goBack()
  await page.locator('.actions a').first().click()
  await page.waitForURL(`${base}/Patient/${run}-3/_history`)
  await look('history')
  await page.locator('.entries .name a').first().click()
  await page.waitForURL(`${base}/Patient/${run}-3/_history/1`)
  await look('version')

  const raw = page.waitForResponse((answer) => answer.url().includes('_format=json'))
  await page.locator('.actions a', { hasText: /^JSON$/ }).click()
  assert.match((await raw).headers()['content-type'], /^application\/fhir\+json/)

  await page.goto(`${base}/Patient?birthdate=${encodeURIComponent(nasty)}`)
  assert.equal(await page.locator('details.search[open]').count(), 1)
  assert.match(await page.locator('h1').textContent(), /^400 /)
  await look('refused')
  await page.goto(`${base}/Patient/none`)
  assert.match(await page.locator('h1').textContent(), /^404 /)
  await look('absent')
  await page.goto(`${origin}/no/such/page`)
  assert.match(await page.locator('h1').textContent(), /^404 /)
  await page.goto(`${base}/metadata`)
  // Longer than a picture may be.
  await look('metadata', false)
  if (options.javaScriptEnabled !== false) await paperAndRight(page, look)
  await page.context().close()
}

// From the right, and on paper.
async function paperAndRight(page, look) {
  await page.goto(`${base}/Patient?family=${run}`)
  await page.evaluate(() => { document.documentElement.dir = 'rtl' })
  await look('right-to-left')
  await page.goto(`${base}/Patient/${run}-2`)
  await page.emulateMedia({ colorScheme: 'dark' })
  await look('dark')
  await page.emulateMedia({ media: 'print', colorScheme: 'light' })
  await look('print')
}

async function languages() {
  for (const [locale, lang] of [['sw-KE', 'sw'], ['fr-CA', 'fr'], ['pt-MZ', 'pt'], ['de-DE', 'en']]) {
    const { page, look } = await open(`language-${lang}`, { viewport: screens.phone, locale })
    await page.goto(`${base}/Patient/none`)
    assert.equal(await page.locator('html').getAttribute('lang'), lang)
    await look('absent')
    await page.goto(`${base}/Patient?family=${run}&birthdate=never`)
    await look('form')
    await page.context().close()
  }
}

// A page of its own, watched: what it runs, loads and complains of fails the walk.
async function open(name, options) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  const trouble = []
  page.on('dialog', (dialog) => { trouble.push('a script ran'); dialog.dismiss() })
  page.on('pageerror', (error) => trouble.push(`an error: ${error.message}`))
  page.on('console', (message) => {
    // That the page itself is one of an error is what is tested.
    const isStatus = /^Failed to load resource: the server responded with a status of 4/.test(message.text())
    if (!(isStatus && message.location().url === page.url())) trouble.push(`the console says: ${message.text()}`)
  })
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) trouble.push(`loads ${request.url()}`)
  })
  const look = async (what, fullPage = true) => {
    if (screenshots) await page.screenshot({ path: join(screenshots, `${name}-${what}.png`), fullPage })
    assert.deepEqual(trouble, [], `${name} ${what}`)
    assert.equal(await page.locator('script').count(), 0, `${name} ${what}`)
    assert.equal(await page.locator('h1').count(), 1, `${name} ${what}`)
    if (options.javaScriptEnabled === false) return
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(wide <= 0, `${name} ${what} is ${wide} px wider than the screen`)
  }
  return { page, look }
}
