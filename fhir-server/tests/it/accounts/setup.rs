//! The first administrator, by the link that is printed.

use serde_json::json;

use super::support::Servers;

fn form(code: &str, email: &str, password: &str) -> String {
    let fields = [
        ("code", code),
        ("email", email),
        ("first_name", "Grace"),
        ("last_name", "<b>Mutua</b>"),
        ("password", password),
    ];
    let mut form = reqwest::Url::parse("http://form").unwrap();
    form.query_pairs_mut().extend_pairs(fields);
    form.query().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_administrators_one_is_made() {
    let servers = Servers::new(&[]).await;
    let (one, two) = (servers.start().await, servers.start().await);
    let secret = one.accounts().ask_for_first_administrator().await.unwrap().unwrap();
    let page = one.app.at("GET", &format!("/setup?code={secret}")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert_eq!(page.headers()["referrer-policy"], "same-origin");
    assert!(!page.text().await.unwrap().contains("<script"));
    let wrong = one.app.at("GET", "/setup?code=%22%3E%3Cscript%3E").send().await.unwrap();
    assert_eq!(wrong.status(), 410);
    let post = async |server: &super::support::Server, body: String| {
        let request =
            server.app.at("POST", "/setup").header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, again) = post(&one, form(&secret, "grace@example.com", "short")).await;
    assert_eq!(status, 400);
    assert!(again.contains("&lt;b&gt;Mutua") && !again.contains("<b>Mutua"), "{again}");
    let (a, b) = tokio::join!(
        post(&one, form(&secret, "grace@example.com", "a good long one")),
        post(&two, form(&secret, "mallory@example.com", "a good long one"))
    );
    let mut statuses = [a.0, b.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 410]);
    assert_eq!(one.accounts().ask_for_first_administrator().await.unwrap(), None);
    let made = if a.0 == 201 { "grace@example.com" } else { "mallory@example.com" };
    let (status, signed_in) =
        one.post("/api/auth/login", json!({ "email": made, "password": "a good long one" })).await;
    assert_eq!(
        (status, &signed_in["data"]["user"]["scoped_roles"]),
        (200, &json!(["SUPER:ADMIN"])),
        "{signed_in}"
    );
}
