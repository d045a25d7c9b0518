//! `backroom check`: everything that a start would find, and every template, without side effects.

use std::io::Write;

use super::Ended;
use crate::config::Loaded;
use crate::server::Backroom;

/// Checks what is beyond the single values: the mailer, the folder of the spill file, every template.
///
/// # Errors
///
/// With exit code 78 and every fault.
pub fn check(loaded: Loaded, out: &mut impl Write) -> Result<(), Ended> {
    let mut faults = Vec::new();
    let config = loaded.config;
    let (queues, bind) = (config.queues.len(), config.server.bind);
    if let Some(file) = &config.shutdown.spill_file {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            faults.push(format!(
                "shutdown.spill_file: there is no folder {}",
                folder.display()
            ));
        }
    }
    let mut rendered = 0;
    match Backroom::builder(config).check() {
        Ok(mailer) => {
            for (name, locale, sample) in mailer.templates().render_samples() {
                let name = locale.map_or(name.clone(), |locale| format!("{name}.{locale}"));
                match sample {
                    Ok(_) => rendered += 1,
                    Err(error) => faults.push(format!("template {name}: {:#}", anyhow::Error::from(error))),
                }
            }
        }
        Err(error) => faults.push(format!("{:#}", anyhow::Error::from(error))),
    }
    if faults.is_empty() {
        writeln!(
            out,
            "ok: {queues} queues, {rendered} templates rendered, would listen on {bind}"
        )?;
        Ok(())
    } else {
        Err(Ended::config(faults.join("\n")))
    }
}
