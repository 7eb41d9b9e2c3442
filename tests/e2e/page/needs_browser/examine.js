// What is wrong with the page it is evaluated in, as texts. Not part of any page.
(() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) => `${element.tagName.toLowerCase()}${element.id ? '#' + element.id : ''} ${(element.textContent || element.value || '').trim().slice(0, 40)}`;
  const check = (rule, elements) => elements.forEach((element) => faults.push(`${rule}: ${name(element)}`));

  // Nothing is wider than the window, and nothing that is seen lies outside it unless its box can be scrolled.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);
  const scrolls = (element) => element && element !== document.body && (['auto', 'scroll'].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  // What is there for those who do not see the page: a box of one pixel that clips what is in it.
  const isUnseen = (element) => element && element !== document.body && ((getComputedStyle(element).overflow === 'hidden' && element.getBoundingClientRect().width <= 1) || isUnseen(element.parentElement));
  check('outside the window', all('main *').filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && element.checkVisibility() && box.right > width + 1 && !scrolls(element.parentElement) && !isUnseen(element);
  }));

  // Landmarks, headings, labels.
  for (const one of ['header', 'main', 'footer', 'h1']) if (all(one).length !== 1) faults.push(`${all(one).length} times ${one}`);
  check('a navigation or a region without a name', all('nav,section,[role=region],[role=search]').filter((e) => !e.getAttribute('aria-label') && !document.getElementById(e.getAttribute('aria-labelledby'))));
  let level = 0;
  for (const heading of all('h1,h2,h3,h4,h5,h6')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) check(`a heading skips from ${level} to ${next}`, [heading]);
    level = next;
  }
  check('a field without a label', all('input:not([type=hidden]),select,textarea').filter((e) => e.getAttribute('aria-hidden') !== 'true' && !e.labels.length && !e.getAttribute('aria-label')));
  check('a control without a name', all('a[href],button,summary').filter((e) => !e.textContent.trim() && !e.getAttribute('aria-label')));
  check('a picture without a name', all('svg,img').filter((e) => e.getAttribute('aria-hidden') !== 'true' && !e.querySelector('title') && !e.getAttribute('aria-label') && !e.alt));
  check('a table without a caption', all('table').filter((e) => !e.caption));
  const ids = all('[id]').map((e) => e.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => faults.push(`the id ${id} occurs twice`));
  check('a link out of an id that is not there', all('a[href^="#"]').filter((e) => !document.getElementById(e.hash.slice(1))));
  check('it runs or loads something', all('script,iframe,object,embed,img,[style],[onclick]'));

  // Large enough for a finger (WCAG 2.5.8), links within text apart.
  check('too small for a finger', all('button,select,input:not([type=hidden]),nav a,a.button').filter((e) => {
    const box = e.getBoundingClientRect();
    return e.checkVisibility() && box.width > 1 && (box.height < 24 || box.width < 24);
  }));

  // Contrast of every text (WCAG 1.4.3).
  const rgb = (text) => { const m = text.match(/[\d.]+/g).map(Number); return { c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 }; };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) { const { c, a } = rgb(getComputedStyle(at).backgroundColor); if (a > 0.99) return c; }
    return rgb(getComputedStyle(document.documentElement).colorScheme.startsWith('dark') ? 'rgb(0,0,0)' : 'rgb(255,255,255)').c;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(element) || !element.checkVisibility() || element.closest('svg')) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const [one, other] = [luminance(rgb(style.color).c), luminance(background(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) check(`contrast ${ratio.toFixed(2)}`, [element]);
    if (size < 12) check(`letters of ${size} px`, [element]);
  }
  return faults;
})()
